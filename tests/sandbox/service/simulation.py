"""A machine that does what decisions ask for: containers of which a test says how they fare, and a clock of its own."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from sandbox.container.model.record import ContainerState
from sandbox.service.acts import act_of
from sandbox.service.board import Facts
from sandbox.service.planning import Decision, plan
from sandbox.service.seeing import rejected, seen
from sandbox.service.spec import SECOND_NS
from tests.sandbox.service.values import service_of, spec_named

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.service.record import Service
    from sandbox.service.spec import ServiceSpec
    from sandbox.service.task import Task


class Fate(NamedTuple):
    """How containers of an image fare: `lives_ns` after the start they end with the code; 0 is never."""

    lives_ns: int = 0
    exit_code: int = 0
    is_missing: bool = False


class Machine:
    """The rows of one service, and the containers there are, by their tasks."""

    def __init__(self, spec: ServiceSpec | None = None, fates: dict[str, Fate] | None = None) -> None:
        self.service: Service = service_of(spec or spec_named())
        self.fates = fates or {}
        self.now_ns = SECOND_NS
        self.tasks: dict[str, Task] = {}
        self.containers: dict[str, ContainerState] = {}
        self.is_held = False
        #: what happened, for a test that holds the order
        self.story: list[str] = []
        self.decision: Decision | None = None
        #: called after each decision
        self.watch: Callable[[], None] = lambda: None
        self._ids = 0

    def _new_id(self) -> str:
        self._ids += 1
        return f"t{self._ids}"

    def want(self, spec: ServiceSpec) -> None:
        """What `update` does."""
        version = self.service.version + 1
        self.service = self.service._replace(
            spec=spec, previous_spec=self.service.spec, version=version, spec_version=version, status=None, run=None
        )

    def decide(self) -> None:
        """One transaction of the reconciler."""
        for task in list(self.tasks.values()):
            self.tasks[task.id] = seen(task, self.containers.get(task.id), self.now_ns)
        self.decision = plan(self.service, self.tasks.values(), Facts(self.now_ns, self._new_id, self.is_held))
        self.service = self.decision.service
        for task in self.decision.changed:
            if task.id not in self.tasks:
                self.story.append(f"new {task.id} in {task.slot}")
            self.tasks[task.id] = task
        self.watch()

    def to_do(self) -> list[Task]:
        return [task for task in self.tasks.values() if act_of(task) is not None]

    def act(self, task: Task, *, is_written: bool = True) -> None:
        """Do it; without `is_written` who did it was killed before he could say so."""
        act = act_of(task)
        if act is None:
            return
        fate = self.fates.get(task.image, Fate())
        self.story.append(f"{act} {task.id}")
        there = self.containers.get(task.id)
        after: Task | None = task
        if act == "prepare" and fate.is_missing:
            after = rejected(task, f"No such image: {task.image}", self.now_ns)
        elif act == "prepare":
            self.containers[task.id] = there or ContainerState()
            after = task._replace(state="ready", container_id=task.id)
        elif act == "start":
            if there is not None and there.status == "created":
                self.containers[task.id] = ContainerState("running", pid=7, started_ns=self.now_ns)
            after = task._replace(state="starting")
        elif act == "stop":
            if there is None:
                after = rejected(task, "", self.now_ns)
            else:
                self.containers[task.id] = ContainerState("exited", exit_code=143, finished_ns=self.now_ns)
                after = task._replace(container_id=task.id)
        else:
            self.containers.pop(task.id, None)
            after = None
        if not is_written:
            return
        if after is None:
            del self.tasks[task.id]
        else:
            self.tasks[task.id] = after

    def let_end(self) -> None:
        """Those end whose time has come."""
        for task_id, container in list(self.containers.items()):
            task = self.tasks.get(task_id)
            fate = self.fates.get(task.image, Fate()) if task else Fate()
            if container.status == "running" and fate.lives_ns and container.started_ns + fate.lives_ns <= self.now_ns:
                self.containers[task_id] = ContainerState("exited", exit_code=fate.exit_code)

    def next_time(self) -> int:
        """When something happens by itself; 0 is never."""
        times = [self.decision.wake_ns] if self.decision is not None and self.decision.wake_ns else []
        for task_id, container in self.containers.items():
            task = self.tasks.get(task_id)
            fate = self.fates.get(task.image, Fate()) if task else Fate()
            if container.status == "running" and fate.lives_ns:
                times.append(container.started_ns + fate.lives_ns)
        return min(times, default=0)

    def run(self, until_seconds: float = 1000, stop: Callable[[], bool] = lambda: False) -> None:
        """Decide and do, at once what there is, until nothing more happens, or so late."""
        end_ns = int(until_seconds * SECOND_NS)
        for _ in range(5_000):
            self.let_end()
            self.decide()
            if stop():
                return
            due = self.to_do()
            for task in due:
                self.act(task)
            if due:
                continue
            following = self.next_time()
            if not following or following > end_ns:
                if end_ns and following:
                    self.now_ns = end_ns
                return
            self.now_ns = max(self.now_ns, following)
        raise AssertionError("it goes round in a circle")

    def running(self) -> list[Task]:
        return [task for task in self.tasks.values() if task.state == "running" and task.desired == "running"]

    def images(self) -> dict[int, str]:
        """Of each slot the image that runs there; each slot has one."""
        counted = Counter(task.slot for task in self.running())
        assert set(counted.values()) <= {1}, counted
        return {task.slot: task.image for task in sorted(self.running(), key=lambda task: task.slot)}

    @property
    def update_state(self) -> str:
        return self.service.status.state if self.service.status else ""
