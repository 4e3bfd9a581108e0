"""The monitor: one process for each running container, its parent and reaper.

It owns the container's streams, log and attach socket, decides on restarts, writes what happens to the database, and
cleans up. It outlives the command that made it, and needs no other process to live.

    first start      a command made the record; `serve_first_start` is told when to let the process go
    the process ends outputs are read to their end, the log is closed, then either
      restart        the state is written, those who wait are told, and after a delay the process is started again
      the end        mounts, network and sockets go, the state is written (under --rm: the container removed), and
                     only then those who wait are told; so whoever has seen a container end can start or remove it

What it asks of the kernel goes through an `Engine`, and what clients ask of it lies in `desk`, so that this file holds
the order of things and nothing else.
"""

from __future__ import annotations

import time
from functools import partial

from sandbox.container.model.events import Tell, refusal_of
from sandbox.container.model.transitions import RunEnded, RunStarted, code_of_failed_start
from sandbox.container.monitor.attach_server import AttachServer
from sandbox.container.monitor.desk import ClientDesk
from sandbox.container.monitor.life import Life, Watches
from sandbox.container.monitor.log_writer import LogWriter, parse_log_options
from sandbox.container.monitor.mount_watch import MountWatch
from sandbox.container.monitor.network import NetworkWatch
from sandbox.container.monitor.record_writer import RecordWriter
from sandbox.container.monitor.restart_policy import Ended, restart_delay
from sandbox.container.monitor.run import Run, RunEvents
from sandbox.container.monitor.signals import SignalWatch
from sandbox.container.monitor.stdio import MonitorEnds, make_pipes
from sandbox.container.monitor.task import Task
from sandbox.errors import ConflictError, SandboxError
from sandbox.live_processes import process_start
from sandbox.named_tuple import NamedTuple
from sandbox.protocol.frames import STDOUT
from sandbox.state import is_busy
from storage.waits import carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from sandbox.container.model.record import Container, ContainerState
    from sandbox.container.model.transitions import MountLost
    from sandbox.container.monitor.health import HealthWatch
    from sandbox.container.monitor.plan import Attachment, Door, HealthPlaces
    from sandbox.container.monitor.roles import Engine, Journal
    from sandbox.protocol.channel import Channel
    from sandbox.runtime.reactor import Reactor, Timer
    from sandbox.values import PublishedPort
    from storage.waits import Steps


#: after a start that found the database held by another writer
_START_AGAIN_SECONDS = 0.1


class _Past(NamedTuple):
    """What a monitor remembers of the runs that have ended."""

    exit_code: int = 0
    oom_killed: bool = False
    restart_count: int = 0
    #: before the last start again
    delay_seconds: float = 0.0


class Monitor:
    """The life of one container, from its first start to its end."""

    def __init__(
        self,
        container: Container,
        engine: Engine,
        journal: Journal,
        reactor: Reactor,
        log_directory: str,
        health_places: HealthPlaces | None = None,
    ) -> None:
        self._container = container
        self._engine = engine
        self._writer = RecordWriter(journal, reactor, self._lost)
        self._reactor = reactor
        self._server: AttachServer | None = None
        self._log = _open_log(container, log_directory)
        self._kept_ends: MonitorEnds | None = None
        self._past = _Past()
        #: the start that is due or under way, between two runs
        self._next: Timer | Task | None = None
        self._is_over = False
        self._signals = SignalWatch(reactor)
        self._life = Life(
            Watches(
                NetworkWatch(engine, reactor, self._note_error, self._note_refusal),
                MountWatch(engine, reactor, self._note_lost_mount),
                _watch_of_health(container, engine, reactor, self._writer, health_places),
            )
        )
        self._desk = ClientDesk(container, self._life, self._writer, self._finish)

    def _note_refusal(self, destination: str) -> None:
        self._writer.write(refusal_of(destination))

    def _note_lost_mount(self, lost: MountLost) -> None:
        self._writer.write(lost.apply)

    # -- the first start ---------------------------------------------------------------------------------------------

    def start_to_gate(self) -> None:
        """Make the container's process, which waits. Raises SandboxError."""
        self._kept_ends = carry_out(self._gate_steps())

    def go(self, ports: tuple[PublishedPort, ...] = (), *, attached: bool = False) -> None:
        """Let the process become the container's program, and record that it runs, and whether its starter is
        attached. Raises SandboxError.
        """
        self._life.watches.network.ports = ports
        ends, self._kept_ends = self._kept_ends, None
        started = carry_out(self._release_steps(ends))
        # a first start that cannot be recorded is none; once clients are served, life goes on
        told = (Tell("attach"),) if attached else ()
        if not self._writer.write_first(*told, started._replace(published_ports=ports).apply):
            raise ConflictError(f"container {self._container.name} was removed meanwhile")
        self._run_began(None)

    def serve(
        self, listener: socket.socket | None, starter: Channel | None, attachment: Attachment, door: Door | None = None
    ) -> None:
        """Serve clients until the container's life is over; `starter` is attached before any output is read."""
        self._writer.hurry()
        self._server = AttachServer(self._reactor, self._desk, listener)
        self._signals.on_shutdown(self._desk.stop_as_at_shutdown)
        if door is not None:
            self._signals.on_knock(partial(self._knocked, self._server, door))
        if starter is not None:
            self._server.adopt_starter(starter, attachment)
        self._life.watches.network.begin()
        self._reactor.run()

    @property
    def is_at_rest(self) -> bool:
        """Whether the container runs, and nobody is being served, and nothing is under way."""
        is_served = self._server is not None and not self._server.is_empty
        return self._life.run is not None and not self._is_over and self._next is None and not is_served

    def go_on(self) -> None:
        """After a rest, in another interpreter: serve to the end."""
        self._reactor.take_up_signals()
        self._reactor.run()

    def abandon(self) -> None:
        """End what there is: the start failed, or the command that wanted it is gone."""
        if self._life.run is not None:
            # it ran, and could not be recorded
            self._life.run.end()
        self._engine.abandon()
        if self._kept_ends is not None:
            self._kept_ends.close()
            self._kept_ends = None
        if self._log is not None:
            self._log.close()

    # -- the container's process -------------------------------------------------------------------------------------

    def _take_output(self, kind: int, data: bytes) -> None:
        if self._log is not None:
            self._log.write("stdout" if kind == STDOUT else "stderr", data)
        if self._server is not None:
            self._server.broadcast(kind, data)
            self._server.log_grew()

    def _input_taken(self) -> None:
        if self._server is not None:
            self._server.input_taken()

    def _run_ended(self, exit_code: int, ran_seconds: float) -> None:
        self._life.run = None
        if self._life.watches.health is not None:
            self._life.watches.health.end()
        if self._log is not None:
            self._log.finish()
        self._past = self._past._replace(exit_code=exit_code, oom_killed=self._engine.after_exit())
        self._decide(ran_seconds)

    def _decide(self, ran_seconds: float) -> None:
        past = self._past
        ended = Ended(past.exit_code, ran_seconds, past.restart_count, self._life.orders.stay_down, past.delay_seconds)
        # `update` may have changed it
        policy = self._writer.restart_policy() or self._container.config.restart
        delay = restart_delay(policy, ended)
        if delay is None:
            self._finish()
            return
        self._past = past._replace(delay_seconds=delay)
        written = RunEnded(past.exit_code, time.time_ns(), past.oom_killed, stays_down=False)
        if not self._writer.write(written.apply, partial(self._between_runs, past.exit_code, delay)):
            self._finish()

    def _between_runs(self, exit_code: int, delay: float) -> None:
        if not self._is_over:
            if self._server is not None:
                self._server.ended(exit_code)
            self._next = self._reactor.after(delay, self._restart)

    def _lost(self) -> None:
        """The container is another's, or gone: no restart follows."""
        if self._life.run is None:
            self._finish()

    # -- starting ----------------------------------------------------------------------------------------------------

    def _restart(self) -> None:
        self._past = self._past._replace(restart_count=self._past.restart_count + 1)
        self._start()

    def _start(self) -> None:
        task = Task(self._reactor, self._run_steps(), self._run_began, self._start_failed)
        self._next = task
        task.begin()

    def _run_steps(self) -> Steps[None]:
        ends = yield from self._gate_steps()
        started = yield from self._release_steps(ends)
        self._writer.write(started.apply)

    def _gate_steps(self) -> Steps[MonitorEnds | None]:
        """Make a process, up to its gate; without a terminal, the monitor's ends of its streams."""
        # a start mounts again what was lost
        self._life.watches.mounts.end()
        config = self._container.config
        if config.terminal:
            yield from self._engine.start_steps(None)
            return None
        theirs, ours = make_pipes(open_stdin=config.open_stdin)
        try:
            yield from self._engine.start_steps(theirs)
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return ours

    def _release_steps(self, ends: MonitorEnds | None) -> Steps[RunStarted]:
        """Let the process go on as the container's program."""
        try:
            process = yield from self._engine.release_steps()
        except BaseException:
            if ends is not None:
                ends.close()
            raise
        ends = ends or MonitorEnds(process.master_fd, process.master_fd)
        events = RunEvents(self._take_output, self._input_taken, self._run_ended)
        self._life.run = Run(self._reactor, process, ends, events, self._engine.freezer(process))
        start, count = process_start(process.pid), self._past.restart_count
        health = "starting" if self._life.watches.health is not None else ""
        return RunStarted(process.pid, start, time.time_ns(), count, self._engine.cgroup, health=health)

    def _run_began(self, _nothing: None) -> None:
        self._next = None
        self._life.watches.mounts.begin()
        if self._life.watches.health is not None and self._life.run is not None:
            self._life.watches.health.begin(self._life.run.pid)

    def _start_failed(self, error: Exception) -> None:
        self._engine.abandon()
        if isinstance(error, SandboxError) and not is_busy(error):
            self._past = self._past._replace(exit_code=code_of_failed_start(error))
            self._note_error(error)
            self._decide(0.0)
        else:
            # the database is being written by another: that is no failure of the container
            self._next = self._reactor.after(_START_AGAIN_SECONDS, self._start)

    def _note_error(self, error: Exception) -> None:
        message = error.message if isinstance(error, SandboxError) else str(error)

        def note(state: ContainerState) -> ContainerState:
            return state._replace(error=message)

        self._writer.write(note)

    # -- the end -----------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._life.watches.network.end()
        self._life.watches.mounts.end()
        Task(self._reactor, self._closing_steps(), self._closed, lambda _error: self._closed(None)).begin()

    def _closing_steps(self) -> Steps[None]:
        if self._life.watches.health is not None:
            self._life.watches.health.close()
        if self._log is not None:
            yield from self._log.close_steps()
        yield from self._engine.close_steps()

    def _closed(self, _nothing: None) -> None:
        assert self._server is not None
        past = self._past
        stopped = self._life.orders.stopped_by_user or self._life.orders.killed_by_user
        ended = RunEnded(past.exit_code, time.time_ns(), past.oom_killed, stopped_by_user=stopped)
        # whoever comes from then on hears it as well: he may have read that it runs
        tell = partial(self._server.over, past.exit_code)
        write = self._writer.remove if self._container.config.auto_remove else self._writer.end
        write((ended.apply, Tell("stop")) if self._life.orders.is_stop else (ended.apply,), tell)
        self._writer.when_done(partial(self._close, self._server))

    def _close(self, server: AttachServer) -> None:
        """The loop goes on until the last client has taken what it is to get, then nothing is watched any more."""
        server.close()
        self._signals.forget_shutdown()
        server.when_empty(self._signals.forget_knock)

    def _knocked(self, server: AttachServer, door: Door) -> None:
        """Somebody has lost the socket."""
        if not self._writer.is_done:
            server.listen_at(door.listen_again())
        door.answer()


def _watch_of_health(
    container: Container, engine: Engine, reactor: Reactor, writer: RecordWriter, places: HealthPlaces | None
) -> HealthWatch | None:
    if places is None or container.config.health.test[:1] not in (("CMD",), ("CMD-SHELL",)):
        return None
    from sandbox.container.monitor.health import HealthWatch  # few containers have a check

    return HealthWatch(container.config, engine, reactor, writer, places, engine.set_healthy)


def _open_log(container: Container, directory: str) -> LogWriter | None:
    log = container.config.log
    return None if log.driver == "none" else LogWriter(directory, parse_log_options(log.driver, log.options))
