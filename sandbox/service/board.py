"""A service and its tasks while they are decided on: what a decision changes, slot by slot, and when to look again."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple
from sandbox.service.spec import template_of
from sandbox.service.task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from sandbox.service.record import Service
    from sandbox.service.task import Desired


class Facts(NamedTuple):
    """What a decision knows beside the rows."""

    now_ns: int
    #: makes an id of a new task
    new_id: Callable[[], str]
    #: whether the service waits, for its first start, for others to be up
    is_held: bool = False


class Board:
    """The rows as they are, and as they are to be."""

    def __init__(self, service: Service, tasks: Iterable[Task], facts: Facts) -> None:
        self.service = service
        self.facts = facts
        self.template = template_of(service.spec)
        #: when there is something to decide without anything having happened; 0 is never
        self.wake_ns = 0
        self._before = {task.id: task for task in tasks}
        self._tasks = dict(self._before)

    @property
    def tasks(self) -> Iterator[Task]:
        yield from list(self._tasks.values())

    def changed(self) -> list[Task]:
        """Those that are new, or not what they were."""
        return [task for task in self._tasks.values() if self._before.get(task.id) != task]

    def change_service(self, **fields: Any) -> None:
        """Set fields of the service; with another spec another template is wanted."""
        self.service = self.service._replace(**fields)
        if "spec" in fields:
            self.template = template_of(self.service.spec)

    def change(self, task: Task, **fields: Any) -> None:
        """Set fields of the task as it is now."""
        self._tasks[task.id] = self._tasks[task.id]._replace(**fields)

    def add(self, slot: int, desired: Desired, **fields: Any) -> None:
        """A new task in the slot, of the service as it is wanted."""
        now_ns, service = self.facts.now_ns, self.service
        # by their times tasks of a slot have an order
        newest = max((task.created_ns for task in self.slot(slot)), default=0)
        made = Task(
            self.facts.new_id(), service.id, slot, service.spec_version, self.template, service.spec.request.image,
            desired, "new", max(now_ns, newest + 1), now_ns,
        )  # fmt: skip
        self._tasks[made.id] = made._replace(**fields)

    def slot(self, number: int) -> list[Task]:
        """Its tasks, the oldest first."""
        return sorted((task for task in self.tasks if task.slot == number), key=lambda task: (task.created_ns, task.id))

    def slots(self) -> list[int]:
        """The numbers of slots that have a task, in order."""
        return sorted({task.slot for task in self.tasks})

    def is_clean(self, task: Task) -> bool:
        """Whether the task is what one made now would be."""
        return task.template == self.template

    def wake_at(self, time_ns: int) -> None:
        """Have it looked at again by then."""
        self.wake_ns = min(self.wake_ns, time_ns) if self.wake_ns else time_ns
