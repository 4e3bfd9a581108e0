"""`up` with somebody who looks on: containers are started, what they write is told, and a ctrl-C stops them."""

from __future__ import annotations

import signal

import trio

from sandbox.compose.execute import Runner
from sandbox.compose.names import ONE_OFF, PROJECT, SERVICE
from sandbox.compose.observe import observe
from sandbox.compose.plan_down import Chosen, plan_kill, plan_stop
from sandbox.compose.progress import Progress
from sandbox.compose.waiting import Changes
from sandbox.container.monitor.log_writer import timestamp
from sandbox.container.operations import look_up
from sandbox.container.view.log_following import LogFollower
from sandbox.container.view.logs import LogSelection
from sandbox.errors import NotFoundError, SandboxError
from sandbox.named_tuple import NamedTuple
from sandbox.project_locks import noted_workers, others_work
from sandbox.warm.trio_workers import open_workers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from sandbox.compose.progress import Tell
    from sandbox.compose.step_requests import Work
    from sandbox.compose.steps import Plan
    from sandbox.container.following import LogSink
    from sandbox.container.model.record import Container
    from sandbox.events import Happened
    from sandbox.stack.project import Project
    from sandbox.warm.trio_workers import TrioWorkers

_TABLE = "sandbox.compose.work"
#: a shell's status for what SIGINT ended
INTERRUPTED = 130


class Attending(NamedTuple):
    """Whose containers are looked at, and what their ends cause."""

    #: services that are stopped with the command, and without whose containers it is over
    services: tuple[str, ...]
    #: services whose output is told
    shown: tuple[str, ...]
    #: which end of a container stops all
    aborts: Literal["", "any", "failure"] = ""
    #: the service whose exit code is the command's
    exit_code_from: str = ""
    timeout_seconds: int | None = None
    #: there is one who makes containers anew as files change: it is not over while he does
    is_watched: bool = False


def attend(work: Work, plan: Plan, attending: Attending, sink: LogSink, tell: Tell) -> int:
    """Start what the plan says, tell what is written until nothing runs any more, and return the status of the command.
    Raises SandboxError where a container could not be started; what runs goes on.
    """
    return trio.run(_Attendance(work, attending, sink, tell).run, plan)


class _Attendance:
    def __init__(self, work: Work, attending: Attending, sink: LogSink, tell: Tell) -> None:
        project = work.project
        assert project is not None
        self._work = work
        self._project: Project = project
        self._attending = attending
        self._sink = sink
        self._tell = tell
        self._followed: dict[str, tuple[Container, LogFollower]] = {}
        #: whose output is told, or was
        self._told: dict[str, Container] = {}
        self._changes = Changes(self._take)
        self._status = 0
        self._signals = 0
        self._is_stopping = False
        #: stops and kills that are on
        self._ending = 0
        #: of containers that have run before: what they wrote then was told then
        self._with_past: set[str] = set()
        self._ended = trio.Event()
        self._starting = trio.CancelScope()

    async def run(self, plan: Plan) -> int:
        async with open_workers(_TABLE) as workers:
            workers.start()
            failure = await self._attend(workers, plan)
        # not in there, where it would become one of a group
        if failure is not None and not self._signals:
            raise failure
        return INTERRUPTED if self._signals else self._status

    async def _attend(self, workers: TrioWorkers, plan: Plan) -> SandboxError | None:
        """What kept a container from being started."""
        observed = observe(self._work.context, self._project.name)
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._runner = Runner(workers, self._work, self._tell, told_hooks=self._sink.hook)
            await nursery.start(self._obey_signals)
            self._with_past = {each.id for each in observed.regular if each.container.state.started_ns}
            for each in observed.regular:
                if each.is_running:
                    self._follow(each.container, LogSelection(tail=0))
            nursery.start_soon(self._changes.follow, self._work.context.paths, observed.last_event)
            failure = await self._start(workers, plan)
            if failure is None:
                await self._until_over()
            for container, follower in self._followed.values():
                self._read(container, follower)
            nursery.cancel_scope.cancel()
        return failure

    async def _start(self, workers: TrioWorkers, plan: Plan) -> SandboxError | None:
        with self._starting:
            try:
                with noted_workers(self._work.context.paths, self._project.name, workers.pid):
                    await self._runner.run(plan.starts)
            except SandboxError as error:
                # what is being stopped is no failure
                return None if self._is_stopping else error
        return None

    async def _until_over(self) -> None:
        while True:
            upcoming = self._changes.upcoming()
            seen = observe(self._work.context, self._project.name)
            if not any(
                each.is_running or each.container.state.monitor_pid
                for each in seen.regular
                if each.service in self._attending.services
            ) and not (self._attending.is_watched and others_work(self._work.context.paths, self._project.name)):
                break
            await upcoming.wait()
        while self._ending:
            await self._ended.wait()
        self._changes.catch_up()

    def _take(self, happened: Happened) -> None:
        """What happened to a container of the project."""
        _kind, action, container_id, attributes = happened.event
        if attributes.get(PROJECT) != self._project.name or attributes.get(ONE_OFF) == "True":
            return
        if action == "start" and container_id not in self._followed:
            self._begin(container_id)
        elif action == "die":
            code = attributes.get("exitCode", "0")
            self._end(container_id, attributes.get(SERVICE, ""), int(code) if code.isdigit() else 0)

    def _begin(self, container_id: str) -> None:
        try:
            container = look_up(self._work.context, container_id)
        except NotFoundError:
            return
        since = timestamp(container.state.started_ns) if container_id in self._with_past else ""
        self._with_past.add(container_id)
        self._follow(container, LogSelection(since=since))

    def _follow(self, container: Container, selection: LogSelection) -> None:
        service = dict(container.config.labels).get(SERVICE, "")
        if service not in self._attending.shown or container.config.log.driver == "none":
            return
        follower = LogFollower(self._work.context.paths, container, selection)
        self._followed[container.id] = (container, follower)
        self._told[container.id] = container
        for entry in follower.read_kept():
            self._sink.entry(container, entry)
        if follower.descriptor >= 0:
            self._nursery.start_soon(self._go_on, container, follower)

    async def _go_on(self, container: Container, follower: LogFollower) -> None:
        goes_on = True
        try:
            while goes_on:
                await trio.lowlevel.wait_readable(follower.descriptor)
                goes_on = follower.take()
                # what a later run writes is told by who follows that
                if self._followed.get(container.id) == (container, follower):
                    self._read(container, follower)
        finally:
            if self._followed.get(container.id) == (container, follower):
                del self._followed[container.id]
            follower.close()

    def _read(self, container: Container, follower: LogFollower) -> None:
        for entry in follower.read_added():
            self._sink.entry(container, entry)

    def _end(self, container_id: str, service: str, code: int) -> None:
        followed = self._followed.get(container_id)
        runs_again = self._runs_again(container_id)
        if followed is not None:
            self._read(*followed)
        if container_id in self._told:
            self._sink.ended(self._told[container_id], code)
        if followed is not None and not runs_again:
            # it is closed when its monitor has closed the other end
            del self._followed[container_id]
        if runs_again or service not in self._attending.services:
            return
        attending = self._attending
        fails = attending.aborts == "any" or (attending.aborts == "failure" and code != 0)
        if fails and not self._is_stopping:
            self._status = code
            self._stop("Aborting on container exit...")
        if service == attending.exit_code_from:
            self._status = code

    def _runs_again(self, container_id: str) -> bool:
        try:
            return look_up(self._work.context, container_id).state.status in ("restarting", "running")
        except NotFoundError:
            return False

    def _stop(self, why: str) -> None:
        self._is_stopping = True
        self._tell(Progress("", why, "working"))
        self._starting.cancel()
        chosen = Chosen(self._attending.services, self._attending.timeout_seconds)
        seen = observe(self._work.context, self._project.name)
        self._begin_ending(plan_stop(None, seen, chosen))

    def _begin_ending(self, plan: Plan) -> None:
        self._ending += 1
        self._nursery.start_soon(self._carry_out, plan)

    async def _carry_out(self, plan: Plan) -> None:
        try:
            await self._runner.run(plan.makes)
        except SandboxError as error:
            # one that has ended by itself meanwhile, as a rule
            self._tell(Progress("", error.message, "warning"))
        self._ending -= 1
        if not self._ending:
            self._ended.set()
            self._ended = trio.Event()

    async def _obey_signals(self, *, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            task_status.started()
            async for _number in received:
                self._signals += 1
                if self._signals == 1:
                    self._stop("Gracefully Stopping... press Ctrl+C again to force")
                    continue
                seen = observe(self._work.context, self._project.name)
                self._begin_ending(plan_kill(seen, self._attending.services))
