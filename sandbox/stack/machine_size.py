"""What services ask for that is more than the machine has: a word to whoever counts on it. Pure."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple
from sandbox.stack.deploy_model import Resource, Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.model import Service
    from sandbox.stack.project import Project


class MachineSize(NamedTuple):
    """What there is to be had."""

    cpus: int
    memory_bytes: int


def this_machine() -> MachineSize:
    """The processors that a process may use, and the memory."""
    import os

    return MachineSize(len(os.sched_getaffinity(0)), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def beyond(project: Project, size: MachineSize) -> Iterator[str]:
    """The limits and reservations that are more than the machine has, a sentence each."""
    for name, service in project.services:
        for key, asked, there in _asked(service, size):
            if asked > there:
                yield f"services.{name}.{key} is {asked:.15g}, and this machine has {there}"


def _asked(service: Service, size: MachineSize) -> Iterator[tuple[str, float, int]]:
    resources = service.deploy.resources if service.deploy is not None else Resources()
    limits, reserved = resources.limits or Resource(), resources.reservations or Resource()
    yield "cpus", service.cpus, size.cpus
    yield "deploy.resources.limits.cpus", limits.cpus, size.cpus
    yield "deploy.resources.reservations.cpus", reserved.cpus, size.cpus
    # more than there is may be a limit: one that is never met
    yield "deploy.resources.reservations.memory", int(reserved.memory), size.memory_bytes
