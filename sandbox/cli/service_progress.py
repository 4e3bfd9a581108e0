"""How far a service is on its way to what was asked of it, in the lines of Docker's client.

Nothing is read or waited for here: what is seen of the service goes in, and what is to be said comes out.
"""

from __future__ import annotations

from sandbox.cli.output.progress_lines import Line
from sandbox.errors import SandboxError
from sandbox.humane import short_id
from sandbox.service.jobs import is_of_iteration
from sandbox.service.spec import template_of
from sandbox.service.task import STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol

    from sandbox.service.record import Service
    from sandbox.service.task import Task

    class _Tasks(Protocol):
        def lines(self, service: Service, tasks: Sequence[Task], *, is_back: bool) -> Iterator[Line]: ...
        @property
        def converged(self) -> bool: ...


_NS = 10**9
_MONITOR_NS = 5 * _NS
#: services of more replicas have no line for each
_MOST_LINES = 20
_STEPS, _JOB_STEPS = 9, 10
#: how far a state is, in Docker's steps; the last two of all are shown to nobody
_STEP: dict[str, int] = {state: number for number, state in enumerate(STATES[:-2], 1)}
#: of the states that are shown
_WIDTH = len("allocated")
_LONGEST_ERROR = 75


class Convergence:
    """One service that somebody waits for."""

    def __init__(self, word: str, node_id: str) -> None:
        """`word` is how the service was named: the last line repeats it."""
        self._word = word
        self._node_id = node_id
        self._tasks: _Tasks | None = None
        self._is_back = False
        self._last: Line | None = None
        self._since_ns: int | None = None
        #: nothing more will be said
        self.ended = False

    @property
    def converged(self) -> bool:
        """Whether all that was asked for runs now."""
        return self._tasks is not None and self._tasks.converged

    def lines(self, service: Service, tasks: Sequence[Task], now_ns: int) -> Iterator[Line]:
        """What is to be said of the service as it is now. Raises SandboxError where its update has stopped."""
        rules = service.spec.update
        monitor_ns = rules.monitor_ns if rules is not None and rules.monitor_ns else _MONITOR_NS
        if self._tasks is None:
            self._tasks = _tasks_of(service, self._node_id)
        yield from self._of_update(service)
        if self.ended:
            return
        if self.converged and self._since_ns is not None and now_ns - self._since_ns >= monitor_ns:
            yield Line("verify", f"Service {self._word} converged")
            if self._last is not None:
                yield self._last
            self.ended = True
            return
        if service.spec.mode.is_job:
            up_to_date = [task for task in tasks if is_of_iteration(task, service)]
        else:
            wanted = template_of(service.spec)
            up_to_date = [task for task in tasks if task.template == wanted]
        yield from self._tasks.lines(service, up_to_date, is_back=self._is_back)
        yield from self._of_verification(service, now_ns, monitor_ns)

    def _of_update(self, service: Service) -> Iterator[Line]:
        status = service.status
        if status is None:
            return
        if status.state == "updating":
            self._is_back = False
        elif status.state == "completed" and not self.converged:
            self.ended = True
        elif status.state == "paused":
            raise SandboxError(f"service update paused: {status.message}", mend=f"sandbox service ps {self._word}")
        elif status.state == "rollback_paused":
            raise SandboxError(f"service rollback paused: {status.message}", mend=f"sandbox service ps {self._word}")
        elif status.state == "rollback_started":
            if not self._is_back and status.message:
                yield Line("rollback", status.message)
            self._is_back = True
        elif status.state == "rollback_completed":
            if not self.converged:
                self._last = Line("", f"rollback: {status.message}")
            self._is_back = True

    def _of_verification(self, service: Service, now_ns: int, monitor_ns: int) -> Iterator[Line]:
        if not self.converged:
            if self._since_ns is not None:
                yield Line("verify", "Detected task failure")
            self._since_ns = None
        elif service.spec.mode.is_job:
            yield Line("", "job complete")
            self.ended = True
        else:
            if self._since_ns is None:
                self._since_ns = now_ns
            left_ns = monitor_ns - (now_ns - self._since_ns)
            if left_ns >= 0:
                # a second that has begun counts, and the last one is there until it is over
                seconds = max(1, -(-left_ns // _NS))
                yield Line("verify", f"Waiting {seconds} seconds to verify that tasks are stable...")


def _tasks_of(service: Service, node_id: str) -> _Tasks:
    kind = service.spec.mode.kind
    if kind == "replicated":
        return _Replicas()
    if kind == "global":
        return _Global(short_id(node_id))
    return _Job("" if kind == "replicated-job" else node_id)


def _overall(running: int, wanted: int, *, is_back: bool) -> Line:
    back = "rolling back update: " if is_back else ""
    return Line("overall progress", f"{back}{running} out of {wanted} tasks")


def _task_line(line_id: str, task: Task, steps: int = _STEPS) -> Line | None:
    """A task's state with its bar, or its error; None where nothing is to be said of it."""
    if task.error:
        text = task.error.replace("\n", " ")
        return Line(line_id, text if len(text) <= _LONGEST_ERROR else f"{text[: _LONGEST_ERROR - 1]}…")
    if steps == _STEPS and (not task.is_live or task.is_over):
        return None
    return Line(line_id, f"{task.state:<{_WIDTH}}", _STEP[task.state], steps)


def _foremost(tasks: Sequence[Task]) -> dict[int, Task]:
    """Of the tasks in each slot the one that is to be there: that of the lowest desired state, then of the lowest."""
    found: dict[int, Task] = {}
    for task in tasks:
        if task.desired not in _STEP or task.state not in _STEP:
            continue
        present = found.get(task.slot)
        order = _STEP[task.desired], _STEP[task.state]
        if present is None or order < (_STEP[present.desired], _STEP[present.state]):
            found[task.slot] = task
    return dict(sorted(found.items()))


class _Running:
    """Tasks that are to run, and go on to."""

    def __init__(self) -> None:
        self._begun = False
        self._done = False
        self.converged = False

    def _told(self, tasks: dict[str, Task], wanted: int, *, is_back: bool) -> Iterator[Line]:
        """The lines of tasks, by the names of their lines."""
        # what had converged may have come apart since
        self._done = self._done and all(task.state == "running" for task in tasks.values())
        running = sum(task.is_live and task.state == "running" for task in tasks.values())
        if not self._done:
            if wanted <= _MOST_LINES:
                yield from (line for name, task in tasks.items() if (line := _task_line(name, task)) is not None)
            yield _overall(running, wanted, is_back=is_back)
        self._done = self.converged = running == wanted


class _Replicas(_Running):
    """So many of them; each has a line of its own, numbered in the order in which they were seen."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers: dict[int, int] = {}

    def lines(self, service: Service, tasks: Sequence[Task], *, is_back: bool) -> Iterator[Line]:
        wanted = service.spec.mode.replicas
        if not self._begun:
            self._begun = True
            yield _overall(0, wanted, is_back=is_back)
            if wanted <= _MOST_LINES:
                yield from (Line(f"{number}/{wanted}", " ") for number in range(1, wanted + 1))
        named = {}
        for slot, task in _foremost(tasks).items():
            number = self._numbers.setdefault(slot, len(self._numbers) + 1)
            named[f"{number}/{wanted}"] = task
        yield from self._told(named, wanted, is_back=is_back)


class _Global(_Running):
    """One on each machine, of which there is one."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def lines(self, _service: Service, tasks: Sequence[Task], *, is_back: bool) -> Iterator[Line]:
        found = list(_foremost([task._replace(slot=0) for task in tasks]).values())
        if not self._begun and not found:
            yield Line("overall progress", "waiting for new tasks")
            return
        if not self._begun:
            self._begun = True
            yield _overall(0, len(found), is_back=is_back)
        yield from self._told(dict.fromkeys([self._node], found[0]) if found else {}, len(found), is_back=is_back)


class _Job:
    """Tasks that come to an end: how many have, and how many are on their way."""

    def __init__(self, node: str) -> None:
        """`node` is that of a job that runs once on each machine."""
        self._node = node
        self._begun = False
        self.converged = False

    def lines(self, service: Service, tasks: Sequence[Task], *, is_back: bool) -> Iterator[Line]:
        del is_back
        mode = service.spec.mode
        total = 1 if self._node else mode.replicas
        at_once = mode.max_concurrent or total
        if not self._begun:
            if self._node and not tasks:
                yield Line("job progress", "waiting for tasks")
                return
            self._begun = True
            yield from self._counted(0, 0, total, at_once)
            if not self._node and total <= _MOST_LINES:
                yield from (Line(f"{number}/{total}", " ") for number in range(1, total + 1))
        # one that has ended well stands for its slot
        best = {task.slot: task for task in sorted(tasks, key=lambda task: _STEP.get(task.state, 0), reverse=True)}
        best |= {task.slot: task for task in tasks if task.state == "complete"}
        found = [best[slot] for slot in sorted(best)]
        if total <= _MOST_LINES:
            for number, task in enumerate(found, 1):
                line = _task_line(self._node or f"{number}/{total}", task, _JOB_STEPS)
                yield from [] if line is None else [line]
        done = sum(task.state == "complete" for task in found)
        yield from self._counted(sum(not task.is_over for task in found), done, total, at_once)
        self.converged = done == total

    def _counted(self, active: int, done: int, total: int, at_once: int) -> Iterator[Line]:
        yield Line("job progress", f"{done:>{len(str(total))}} out of {total} complete", done, total)
        if not self._node:
            wanted, width = min(total - done, at_once), len(str(at_once))
            yield Line("active tasks", f"{active:>{width}} out of {wanted:>{width}} tasks")
