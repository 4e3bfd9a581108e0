"""How far a service is, in the lines of Docker's client, on a terminal and on anything else."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from sandbox.cli.output.progress_lines import Line, ProgressLines
from sandbox.cli.service_progress import Convergence
from sandbox.container.request.request import ContainerRequest
from sandbox.errors import SandboxError
from sandbox.service.record import Service, UpdateStatus
from sandbox.service.spec import ServiceMode, ServiceSpec, UpdateConfig, template_of
from sandbox.service.task import Task

if TYPE_CHECKING:
    from sandbox.service.record import UpdateState
    from sandbox.service.spec import ModeKind
    from sandbox.service.task import Desired, TaskState

_S = 10**9


def _service(kind: ModeKind = "replicated", replicas: int = 2, at_once: int = 0) -> Service:
    spec = ServiceSpec("web", ContainerRequest("i"), mode=ServiceMode(kind, replicas, at_once))
    return Service("s" * 25, "web", "", 1, 1, spec, 0, 0)


def _task(service: Service, slot: int, state: TaskState, desired: Desired = "running", error: str = "") -> Task:
    template = template_of(service.spec)
    return Task(f"t{slot}{state}", service.id, slot, 1, template, "i", desired, state, 0, 0, error=error)


class _Seen:
    """A convergence, and all that it said."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.progress = Convergence("web", "n" * 25)
        self.stream = io.StringIO()
        self.lines = ProgressLines(self.stream, None)

    def at(self, seconds: float, *tasks: Task) -> list[str]:
        """What is said now and was not said before."""
        before = len(self.stream.getvalue())
        for line in self.progress.lines(self.service, tasks, int(seconds * _S)):
            self.lines.show(line)
        return self.stream.getvalue()[before:].splitlines()


def test_a_service_that_comes_up() -> None:
    service = _service()
    seen = _Seen(service)
    assert seen.at(0) == ["overall progress: 0 out of 2 tasks", "1/2:  ", "2/2:  "]
    one, two = _task(service, 1, "running"), _task(service, 2, "preparing")
    assert seen.at(1, one, two) == ["overall progress: 1 out of 2 tasks"]
    two = _task(service, 2, "rejected", "shutdown", "No such image: i")
    assert seen.at(2, one, two) == ["2/2: No such image: i"]
    two = _task(service, 2, "running")
    assert seen.at(3, one, two) == [
        "overall progress: 2 out of 2 tasks", "verify: Waiting 5 seconds to verify that tasks are stable...",
    ]  # fmt: skip
    assert seen.at(4.5, one, two) == ["verify: Waiting 4 seconds to verify that tasks are stable..."]
    assert seen.at(5, one, _task(service, 2, "starting")) == [
        "overall progress: 1 out of 2 tasks",
        "verify: Detected task failure",
    ]
    seen.at(6, one, two)
    assert not seen.progress.ended
    assert seen.at(11, one, two) == ["verify: Service web converged"]
    assert seen.progress.ended


def test_tasks_of_an_older_service_say_nothing() -> None:
    service = _service(replicas=1)
    seen = _Seen(service)
    old = _task(service, 1, "running")._replace(template="old")
    assert seen.at(0, old)[:1] == ["overall progress: 0 out of 1 tasks"]
    assert not seen.progress.converged


def test_updates_that_stop_or_go_back() -> None:
    def at(state: UpdateState, message: str = "why") -> Service:
        return _service(replicas=1)._replace(status=UpdateStatus(state, message, 0))

    for state, what in (("paused", "update"), ("rollback_paused", "rollback")):
        seen = _Seen(at(state))  # type: ignore[arg-type]  # both are states
        with pytest.raises(SandboxError, match=f"service {what} paused: why"):
            seen.at(0)
    seen = _Seen(at("rollback_started"))
    assert seen.at(0)[:2] == ["rollback: why", "overall progress: rolling back update: 0 out of 1 tasks"]
    running = _task(seen.service, 1, "running")
    seen.service = at("rollback_completed", "rollback completed")
    seen.at(1, running)
    assert seen.at(6.5, running) == ["verify: Service web converged", "rollback: rollback completed"]
    # an update that ended before anybody saw all of it run
    seen = _Seen(at("completed"))
    assert seen.at(0) == []
    assert seen.progress.ended


def test_the_time_of_an_update_is_watched() -> None:
    service = _service(replicas=1)
    service = service._replace(spec=service.spec._replace(update=UpdateConfig(monitor_ns=_S)))
    seen, running = _Seen(service), _task(service, 1, "running")
    assert seen.at(0, running)[-1] == "verify: Waiting 1 seconds to verify that tasks are stable..."
    assert seen.at(1, running) == ["verify: Service web converged"]


def test_more_than_fit_have_one_line() -> None:
    service = _service(replicas=21)
    seen = _Seen(service)
    assert seen.at(0, *(_task(service, slot, "running") for slot in range(1, 8))) == [
        "overall progress: 0 out of 21 tasks", "overall progress: 7 out of 21 tasks",
    ]  # fmt: skip


def test_a_global_service() -> None:
    service = _service("global")
    seen = _Seen(service)
    assert seen.at(0) == ["overall progress: waiting for new tasks"]
    assert seen.at(1, _task(service, 1, "failed", error="x" * 80))[:2] == [
        "overall progress: 0 out of 1 tasks", f"{'n' * 12}: {'x' * 74}…",
    ]  # fmt: skip
    assert "overall progress: 1 out of 1 tasks" in seen.at(2, _task(service, 1, "running"))


def test_jobs() -> None:
    service = _service("replicated-job", 3, 2)
    seen = _Seen(service)
    assert seen.at(0) == ["active tasks: 0 out of 2 tasks", "1/3:  ", "2/3:  ", "3/3:  "]
    assert seen.at(1, _task(service, 1, "complete"), _task(service, 2, "running")) == ["active tasks: 1 out of 2 tasks"]
    done = [_task(service, slot, "complete") for slot in (1, 2, 3)]
    assert seen.at(2, *done) == ["active tasks: 0 out of 0 tasks", "job complete"]
    assert seen.progress.ended
    service = _service("global-job")
    seen = _Seen(service)
    assert seen.at(0) == ["job progress: waiting for tasks"]
    assert seen.at(1, _task(service, 1, "complete")) == ["job complete"]


def test_lines_are_written_over_on_a_terminal() -> None:
    stream = io.StringIO()
    lines = ProgressLines(stream, 120)
    lines.show(Line("overall progress", "0 out of 1 tasks"))
    lines.show(Line("1/1", "running  ", 9, 9))
    lines.show(Line("overall progress", "1 out of 1 tasks\x1b[2J"))
    lines.show(Line("", "done"))
    assert stream.getvalue() == (
        "\n\x1b[1A\x1b[2K\roverall progress: 0 out of 1 tasks \r\x1b[1B"
        f"\n\x1b[1A\x1b[2K\r1/1: running   [{'=' * 50}>] \r\x1b[1B"
        "\x1b[2A\x1b[2K\roverall progress: 1 out of 1 tasks\\x1b[2J \r\x1b[2B"
        "done\n"
    )
    narrow = io.StringIO()
    ProgressLines(narrow, 80).show(Line("1/1", "running  ", 9, 9))
    assert "[=" not in narrow.getvalue()
