"""Stages built at the same time, each in a process of its own.

    command ── fork ──▶ coordinator (root of an outer user namespace)
                          ├─ fork ──▶ a stage (a mount namespace of its own: its mounts go with it)
                          └─ fork ──▶ another

A stage begins when the one it starts from has ended; for one that it only copies from it waits at that step. Processes
and not threads: a step makes namespaces, and for that a process must never have had a second thread. When one fails,
the others are told to end (SIGTERM: they end their containers and take their trees away), then killed; what they leave
is reaped and removed here. The command's end does the same: the coordinator sees its socket close.
"""

from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from sandbox.builder.progress.progress import OpenSteps, decode_event, encode_event
from sandbox.builder.stages.reaping import reap_all
from sandbox.builder.stages.stage_builder import StageBuilder, find_tree
from sandbox.builder.stages.stage_messages import Lines, decode_stage, encode_failure, encode_stage
from sandbox.builder.step_layers import Workshop, sweep
from sandbox.builder.steps.steps import Steps
from sandbox.errors import SandboxError
from sandbox.interrupts import keep_exception
from sandbox.runtime import syscalls as sc
from storage.drivers import driver_named

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from sandbox.builder.request import BuildPlan
    from sandbox.builder.sources.digest_memory import Memories
    from sandbox.builder.stage_state import StageState
    from sandbox.dockerfile.parser import Node
    from sandbox.paths import Paths

#: how long a stage that is told to end may take to clean up before it is killed
_PATIENCE_SECONDS = 5.0


class _StageEndedError(BaseException):
    """The coordinator wants this stage to end."""


class Coordinator:
    """Builds what the target needs and is not there yet. Runs in the outer user namespace, single-threaded.

    `done` are the stages that have ended, `builders` those that have not, as far as they have come.
    """

    def __init__(
        self, paths: Paths, plan: BuildPlan, memories: Memories, done: Mapping[int, StageState],
        builders: Mapping[int, StageBuilder],
    ) -> None:  # fmt: skip
        self._paths = paths
        self._plan = plan
        self._memories = memories
        self._done = {number: encode_stage(state) for number, state in done.items()}
        self._builders = dict(builders)
        self._workers: dict[int, _Worker] = {}
        self._waiting: list[tuple[int, _Worker]] = []
        self._open = OpenSteps()
        self._failure: list[Any] | None = None

    def run(self, command: socket.socket) -> None:
        """Build, telling `command` what happens and at last the result; ends early when `command` closes."""
        # every stage is a fork of this process
        driver_named(self._plan.storage_driver).preload()
        sc.prctl(sc.PR_SET_CHILD_SUBREAPER, 1)
        # ctrl-C reaches the whole foreground process group: the command decides, and closes its end. Not SIG_IGN,
        # which the programs that are started would inherit
        signal.signal(signal.SIGINT, _pass_over)
        lines = Lines(command)
        with selectors.DefaultSelector() as selector:
            selector.register(command, selectors.EVENT_READ)
            try:
                while self._plan.target not in self._done and self._failure is None:
                    self._start_ready(selector)
                    for key, _events in selector.select():
                        if key.fileobj is command:
                            return
                        self._hear(key.data, selector, lines)
            except (BrokenPipeError, ConnectionResetError):
                return
            finally:
                self._end_all()
        for event in self._open.cancelled():
            lines.send({"event": encode_event(event)})
        if self._failure is not None:
            lines.send({"error": self._failure})
        else:
            lines.send({"stages": {str(number): stage for number, stage in self._done.items()}})

    def _start_ready(self, selector: selectors.BaseSelector) -> None:
        for number, builder in list(self._builders.items()):
            base = builder.base_stage
            if base is None or base in self._done:
                del self._builders[number]
                worker = self._start(builder)
                selector.register(worker.end, selectors.EVENT_READ, worker)
            elif base not in self._builders and base not in self._workers:
                self._builders[base] = StageBuilder(self._plan, base)
                self._start_ready(selector)
                return

    def _start(self, builder: StageBuilder) -> _Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        pid = os.fork()
        if pid == 0:
            # the ends of the others stay open here until exec: none of them counts on them closing
            ours.close()
            _build_stage(_Duty(Lines(theirs), self._paths, self._plan, self._memories, self._done), builder)
        theirs.close()
        self._workers[builder.number] = worker = _Worker(builder.number, pid, ours)
        return worker

    def _hear(self, worker: _Worker, selector: selectors.BaseSelector, command: Lines) -> None:
        messages = worker.lines.receive()
        if messages is None:
            selector.unregister(worker.end)
            if worker.number not in self._done and self._failure is None:
                name = self._plan.program.stages[worker.number].name or worker.number
                error = SandboxError(f"the process that built stage {name} died", mend="try again")
                self._failure = encode_failure(error)
            return
        for message in messages:
            if "event" in message:
                self._open.take(decode_event(message["event"]))
                command.send(message)
            elif "need" in message:
                self._waiting.append((message["need"], worker))
                self._start_needed(message["need"])
            elif "stage" in message:
                self._done[worker.number] = message["stage"]
            elif self._failure is None:
                self._failure = message["error"]
        self._answer()

    def _start_needed(self, number: int) -> None:
        """A stage that only an ONBUILD of a base names is not among the planned."""
        if number not in self._done and number not in self._workers and number not in self._builders:
            self._builders[number] = StageBuilder(self._plan, number)

    def _answer(self) -> None:
        for number, worker in list(self._waiting):
            if number in self._done:
                self._waiting.remove((number, worker))
                with suppress(BrokenPipeError, ConnectionResetError):
                    worker.lines.send({"stage": self._done[number]})

    def _end_all(self) -> None:
        """End what still works, reap everything below us, remove what was left."""
        for worker in self._workers.values():
            # ours until it is reaped, so the number is nobody else's
            os.kill(worker.pid, signal.SIGTERM)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        with selectors.DefaultSelector() as selector:
            pidfds = [os.pidfd_open(worker.pid) for worker in self._workers.values()]
            for pidfd in pidfds:
                selector.register(pidfd, selectors.EVENT_READ)
            while selector.get_map() and (left := deadline - time.monotonic()) > 0:
                for key, _events in selector.select(left):
                    selector.unregister(key.fileobj)
            for pidfd in pidfds:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                os.close(pidfd)
        # containers, slirp4netns and servers end with their stage's process, and come to us as their new parent; a
        # server whose stage was killed while it unmounted would wait for ever
        reap_all(_PATIENCE_SECONDS)
        for worker in self._workers.values():
            worker.end.close()
        self._workers.clear()
        sweep(self._paths)


class _Worker:
    def __init__(self, number: int, pid: int, end: socket.socket) -> None:
        self.number, self.pid, self.end = number, pid, end
        self.lines = Lines(end)


class _Duty(NamedTuple):
    """What a stage's process works with."""

    lines: Lines
    paths: Paths
    plan: BuildPlan
    memories: Memories
    done: Mapping[int, Any]


def _build_stage(duty: _Duty, builder: StageBuilder) -> NoReturn:
    """In the forked child: build, tell how it went, end."""
    try:
        keep_exception(_StageEndedError, signal.SIGTERM)
        signal.signal(signal.SIGTERM, _end_stage)
        sc.prctl(sc.PR_SET_PDEATHSIG, signal.SIGKILL)
        try:
            sc.unshare(sc.CLONE_NEWNS)
            duty.lines.send({"stage": encode_stage(_run_builder(duty, builder))})
        except Exception as error:  # noqa: BLE001  # a process boundary: every failure is told to the coordinator
            duty.lines.send({"error": encode_failure(error)})
    finally:
        os._exit(0)


def _run_builder(duty: _Duty, builder: StageBuilder) -> StageState:
    known = dict(duty.done)

    def find_stage(number: int) -> StageState:
        if number not in known:
            duty.lines.send({"need": number})
            known[number] = next(iter(duty.lines))["stage"]
        return decode_stage(known[number], duty.plan.globals)

    def trees(name: str, node: Node) -> StageState:
        return find_tree(duty.plan, builder.number, find_stage, name, node)

    plan = duty.plan._replace(events=lambda event: duty.lines.send({"event": encode_event(event)}))
    workshop = Workshop(duty.paths, plan.storage_driver, plan.rewritten_epoch)
    try:
        steps = Steps(duty.paths, plan, workshop, trees, duty.memories, fresh=plan.is_fresh(builder.number))
        try:
            return builder.told(plan).run(steps, find_stage)
        finally:
            steps.close()
    finally:
        workshop.close()


def _end_stage(_number: int, _frame: FrameType | None) -> None:
    raise _StageEndedError


def _pass_over(_number: int, _frame: FrameType | None) -> None:
    """Neither die nor have programs that are started ignore it."""
