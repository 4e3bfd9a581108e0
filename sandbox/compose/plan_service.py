"""What is planned for the containers of one service: which stay, which are made again, added, or go. Pure."""

from __future__ import annotations

from itertools import islice

from sandbox.compose.divergence import divergence, expected_of, shared_parts, shared_services
from sandbox.compose.names import REPLACE, final_name
from sandbox.compose.steps import Step
from sandbox.errors import NotFoundError, UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.stack.request_names import container_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sandbox.compose.observe import Observed, ObservedContainer
    from sandbox.compose.steps import Recreate, UpOptions
    from sandbox.stack.model import Service
    from sandbox.stack.project import Project


class Member(NamedTuple):
    """One container that a service has when all is made."""

    name: str
    number: int
    #: "" of one that is new
    container_id: str = ""
    #: key of the step after which it is there; "" of one that is there
    made_by: str = ""
    is_running: bool = False
    health: str = ""


class ServicePlan(NamedTuple):
    steps: tuple[Step, ...]
    members: tuple[Member, ...]

    @property
    def is_changed(self) -> bool:
        """Whether a container of it is another one afterwards."""
        return any(step.kind in ("create", "recreate") for step in self.steps)


class Surroundings(NamedTuple):
    """What a service's plan takes from those made before it."""

    project: Project
    observed: Observed
    options: UpOptions
    #: networks and volumes, by name -> the step that makes each
    shared: Mapping[str, str]
    #: ids of containers that are removed before all else, and the steps that do it
    removed: Mapping[str, str]
    #: of the services before it
    plans: Mapping[str, ServicePlan]


class _Standing(NamedTuple):
    """A container that is there, and what is wrong with it."""

    container: ObservedContainer
    #: why it is made again; "" where it stays
    reason: str = ""
    #: one that was made to take its place when a run was ended
    successor: ObservedContainer | None = None


def plan_service(around: Surroundings, name: str, service: Service) -> ServicePlan:
    """The steps for the service's containers. Raises UsageError for a name that two are to have,
    NotFoundError where one that it shares with has no container.
    """
    wanted = wanted_scale(name, service)
    _check_shared(around, service)
    standing, steps = _standing(around, name, service)
    # those that stay first, and of these the lowest numbers: from the other end they go
    standing.sort(key=lambda each: (bool(each.reason), each.container.number))
    needs = _needs(around, name, service)
    members: list[Member] = []
    for each in standing[:wanted]:
        step, member = _kept(around, name, service, each, needs)
        steps += [step] if step is not None else []
        members.append(member)
    for each in standing[wanted:]:
        steps.append(_removal(around, each.container, "scaled down"))
        if each.successor is not None:
            steps.append(_removal(around, each.successor, "scaled down"))
    # a container that is made again has the number of that one
    taken = [each.container.number for each in standing]
    again = [container for container in around.observed.of(name) if container.id in around.removed]
    numbers = sorted({container.number for container in again} - set(taken))
    following = range(max([*taken, *numbers], default=0) + 1, wanted + max([*taken, *numbers], default=0) + 1)
    for number in islice((*numbers, *following), max(0, wanted - len(members))):
        own = container_name(around.project, name, service, number)
        key = f"create {own}"
        after = tuple(around.removed[each.id] for each in again)
        steps.append(Step(key, "create", own, (*needs, *after), "it is missing", name, number))
        members.append(Member(own, number, made_by=key))
    return ServicePlan(tuple(steps), tuple(members))


def _check_shared(around: Surroundings, service: Service) -> None:
    for what, other in shared_parts(service):
        plan = around.plans.get(other)
        if not (plan.members if plan is not None else around.observed.of(other)):
            raise NotFoundError(
                f"cannot share {what} with service {other}: container missing", mend=f"sandbox compose up -d {other}"
            )


def wanted_scale(name: str, service: Service) -> int:
    """How many containers the service is to have. Raises UsageError where they would have one name."""
    if service.replicas > 1 and service.container_name:
        raise UsageError(
            f'The "{name}" service is using the custom container name "{service.container_name}". Docker requires each '
            "container to have a unique name. Remove the custom name to scale the service",
            mend=f"remove container_name of {name}, or --scale {name}=1",
        )
    return service.replicas


def _standing(around: Surroundings, name: str, service: Service) -> tuple[list[_Standing], list[Step]]:
    """The service's containers, each once: what a killed run has left beside one belongs to it, or goes."""
    found: list[_Standing] = []
    steps: list[Step] = []
    expected = expected_of(around.project, around.observed, name, service)
    policy = _policy(around.options, name)
    shared = _shared_reason(around, service)

    def why(container: ObservedContainer) -> str:
        if policy == "never":
            return ""
        if policy == "force":
            return "recreation is forced"
        return divergence(container, expected) or shared

    present = [each for each in around.observed.of(name) if each.id not in around.removed]
    replaced = {each.number for each in present if not _is_successor(each)}
    successors = {each.number: each for each in present if _is_successor(each) and each.number in replaced}
    for each in present:
        successor = successors.get(each.number)
        if successor is None:
            found.append(_Standing(each, why(each)))
        elif successor is not each and policy != "force" and not why(successor):
            found.append(_Standing(each, "a run that was ended had begun to recreate it", successor))
        elif successor is not each:
            found.append(_Standing(each, why(each)))
        elif policy == "force" or why(each):
            steps.append(_removal(around, each, "a run that was ended has left it"))
    return found, steps


def _is_successor(container: ObservedContainer) -> bool:
    return REPLACE in container.labels and final_name(container.name) != container.name


def _policy(options: UpOptions, name: str) -> Recreate:
    is_named = not options.services or name in options.services
    return options.recreate if is_named else options.recreate_dependencies


def _shared_reason(around: Surroundings, service: Service) -> str:
    for other in shared_services(service):
        plan = around.plans.get(other)
        if plan is not None and plan.is_changed:
            return f"service {other}, which it shares with, has another container"
    return ""


def _needs(around: Surroundings, name: str, service: Service) -> tuple[str, ...]:
    """What is there before a container of the service can be made."""
    expected = expected_of(around.project, around.observed, name, service)
    needs = [around.shared[each] for each in (*expected.networks, *expected.volumes) if each in around.shared]
    for other in (*shared_services(service), *(link.partition(":")[0] for link in service.links)):
        plan = around.plans.get(other)
        needs += [step.key for step in plan.steps] if plan is not None else []
    return tuple(dict.fromkeys(needs))


def _kept(
    around: Surroundings, name: str, service: Service, standing: _Standing, needs: tuple[str, ...]
) -> tuple[Step | None, Member]:
    """What is done with a container that the service goes on to have."""
    container, reason, successor = standing
    own = container_name(around.project, name, service, container.number)
    member = Member(own, container.number, container.id, "", container.is_running, container.container.state.health)
    if reason:
        key = f"recreate {own}"
        # those it depends on first, so that nobody loses two at once
        before = [step.key for other, _ in service.depends_on for step in _steps_of(around, other)]
        step = Step(
            key, "recreate", own, tuple(dict.fromkeys((*needs, *before))), reason, name, container.number, container.id,
            successor.id if successor is not None else "", timeout_seconds=around.options.timeout_seconds,
        )  # fmt: skip
        return step, Member(own, container.number, "", key)
    if container.name != own and _is_successor(container):
        key = f"rename {own}"
        reason = "a run that was ended had recreated it"
        return Step(key, "rename", own, (), reason, name, container.number, container.id), member._replace(made_by=key)
    return None, member._replace(name=container.name)


def _steps_of(around: Surroundings, name: str) -> Sequence[Step]:
    plan = around.plans.get(name)
    return plan.steps if plan is not None else ()


def _removal(around: Surroundings, container: ObservedContainer, reason: str) -> Step:
    return Step(
        f"remove {container.name}", "remove", container.name, (), reason, container.service, container.number,
        container.id, timeout_seconds=around.options.timeout_seconds,
    )  # fmt: skip


def removals_of(containers: Sequence[ObservedContainer], reason: str, timeout_seconds: int | None) -> Iterator[Step]:
    """Steps that stop and remove containers, before all others. `timeout_seconds` is before each is killed."""
    for each in containers:
        yield Step(
            f"remove {each.name}", "remove", each.name, (), reason, each.service, each.number, each.id,
            timeout_seconds=timeout_seconds,
        )  # fmt: skip
