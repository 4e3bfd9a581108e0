"""A task: one container of a service, from the moment it is decided on until its end is history.

A slot is a place among the service's replicas; its tasks follow each other, and at rest one of them runs.
"""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    TaskState = Literal[
        "new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running",
        "complete", "shutdown", "failed", "rejected", "remove", "orphaned",
    ]  # fmt: skip
    Desired = Literal["ready", "running", "shutdown", "remove"]

#: in the order in which a task passes through them
STATES: tuple[TaskState, ...] = (
    "new", "allocated", "pending", "assigned", "accepted", "preparing", "ready", "starting", "running", "complete",
    "shutdown", "failed", "rejected", "remove", "orphaned",
)  # fmt: skip
_OVER = frozenset(STATES[STATES.index("complete") :])


class Task(NamedTuple):
    """One row. Times are ns since 1970, 0 where that has not happened."""

    id: str  # 25 of base 36
    service_id: str
    slot: int
    spec_version: int
    #: of the spec it is made of (`template_of`)
    template: str
    image: str
    desired: Desired
    state: TaskState
    created_ns: int
    state_ns: int
    container_id: str = ""
    #: why it ended as it did
    error: str = ""
    #: of its state, as Docker's documents have it
    message: str = ""
    exit_code: int = 0
    pid: int = 0
    #: when it was running, with a health check healthy, for the first time
    running_ns: int = 0
    ended_ns: int = 0
    #: the number of the update that made it; 0 for another reason
    update_run: int = 0
    #: it is made ready, and starts no earlier
    start_after_ns: int = 0
    #: when the last of those before it in its slot were followed by another, and how often that was
    restarts: tuple[int, ...] = ()
    restart_count: int = 0
    #: it has ended, and by its restart rule nothing follows it
    at_rest: bool = False
    #: it takes no part in ports and names any more, as one that is about to be stopped
    draining: bool = False

    @property
    def is_over(self) -> bool:
        return self.state in _OVER

    @property
    def is_live(self) -> bool:
        """Whether it is wanted to run, now or in a moment."""
        return self.desired in ("ready", "running")

    @property
    def is_member(self) -> bool:
        """Whether it takes part in its service's ports and names."""
        return self.state == "running" and self.desired == "running" and not self.draining


def task_name(service_name: str, task: Task, node: str = "") -> str:
    """The task's name, which its container has too: `web.1.<id>`; of a global service, which has no slots, with the
    node in the place of the number.
    """
    return f"{service_name}.{node or task.slot}.{task.id}"
