"""What runs before a service's containers are started, as steps. Pure."""

from __future__ import annotations

from sandbox.compose.hook_requests import runs_before
from sandbox.compose.steps import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox.compose.plan_service import Member
    from sandbox.stack.model import Service


def with_pre_start(name: str, service: Service, members: Sequence[Member], starts: Sequence[Step]) -> Iterator[Step]:
    """`starts` behind the hooks of the service: once where none of its containers goes on running, and before each
    start where a hook is for each replica.
    """
    started = {step.name for step in starts}
    goes_on = any(member.is_running and member.name not in started for member in members)
    once: tuple[str, ...] = ()
    if starts and not goes_on and runs_before(service, per_replica=False):
        step = Step(f"pre_start {name}", "pre_start", f"{name}-pre_start", starts[0].needs, "it is started", name)
        once = (step.key,)
        yield step
    for start in starts:
        needs = (*start.needs, *once)
        if runs_before(service, per_replica=True):
            subject = f"{start.name}-pre_start"
            key = f"pre_start {start.name}"
            yield Step(key, "pre_start", subject, needs, "it is started", name, start.number)
            needs = (*needs, key)
        yield start._replace(needs=needs)
