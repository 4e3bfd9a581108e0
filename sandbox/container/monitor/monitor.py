"""The monitor: one process for each running container, its parent and reaper.

It owns the container's streams, log and attach socket, decides on restarts, writes what happens to the database, and
cleans up. It outlives the command that made it, and needs no other process to live.

    first start      a command made the record; `serve_first_start` is told when to let the process go
    the process ends outputs are read to their end, the log is closed, then either
      restart        the state is written, those who wait are told, and after a delay the process is started again
      the end        mounts, network and sockets go, the state is written (under --rm: the container removed), and
                     only then those who wait are told; so whoever has seen a container end can start or remove it

What it asks of the kernel goes through an `Engine`, so that this file holds the order of things and nothing else.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from sandbox.container.model.runtime_files import KNOCK_SIGNAL
from sandbox.container.model.stop_way import ends_restarts, way_to_stop
from sandbox.container.model.transitions import RunEnded, RunStarted, code_of_failed_start
from sandbox.container.monitor.attach_server import AttachServer
from sandbox.container.monitor.log_writer import LogWriter, parse_log_options
from sandbox.container.monitor.mount_watch import MountWatch, ServedMounts
from sandbox.container.monitor.reactor import READ, Reactor
from sandbox.container.monitor.record_writer import Journal, RecordWriter
from sandbox.container.monitor.restart_policy import Ended, restart_delay
from sandbox.container.monitor.stdio import ContainerEnds, MonitorEnds, Stdio, make_pipes
from sandbox.errors import ConflictError, SandboxError
from sandbox.faults import explain_fault
from sandbox.named_tuple import NamedTuple
from sandbox.protocol.frames import STDOUT, encode_message
from sandbox.state import process_start

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from sandbox.container.model.record import Container, ContainerState
    from sandbox.container.monitor.reactor import Timer
    from sandbox.container.monitor.spawn import Attachment
    from sandbox.protocol.channel import Channel
    from sandbox.values import PublishedPort


_FIRST_REVIVAL_SECONDS = 0.5
_MOST_REVIVALS = 8


class Started(NamedTuple):
    """A container's first process; the descriptors are the monitor's now. `master_fd` is its terminal's, or -1."""

    pid: int
    pidfd: int
    master_fd: int = -1


class Engine(ServedMounts, Protocol):
    """What the kernel, storage and network are asked for."""

    def start(self, ends: ContainerEnds | None) -> None:
        """Make a process, up to its gate; `ends` None asks for a terminal. Raises SandboxError, nothing being left."""

    def release(self) -> Started:
        """Let it become the container's program. Raises SandboxError where it cannot, and nothing is left of it."""

    def abandon(self) -> None:
        """End the process at its gate. Without one, nothing happens."""

    def after_exit(self) -> bool:
        """One run ended; another may follow. Whether the kernel killed one of its processes for want of memory."""

    @property
    def cgroup(self) -> str:
        """The cgroup of the run that is on, or ""."""

    @property
    def network_pidfd(self) -> int:
        """Readable when what connects the container's network has ended; -1 where nothing does."""

    def revive_network(self, ports: Sequence[PublishedPort]) -> int:
        """Connect the network again, and begin to publish the same ports; what is returned is readable when that is
        over, -1 where there are none. Raises SandboxError.
        """

    def finish_revival(self, ports: Sequence[PublishedPort]) -> None:
        """After that. Raises SandboxError where the ports are not published."""

    def close(self) -> None:
        """Take down mounts, network and helpers."""


class Door(NamedTuple):
    """How the monitor is found again by those who have lost its socket."""

    listen_again: Callable[[], list[socket.socket]]
    #: tell those who knocked
    answer: Callable[[], None]


class Monitor:
    """The life of one container, from its first start to its end. Implements `attach_server.Desk`."""

    def __init__(
        self, container: Container, engine: Engine, journal: Journal, reactor: Reactor, log_directory: str
    ) -> None:
        self._container = container
        self._engine = engine
        self._journal = journal
        self._writer = RecordWriter(journal, reactor)
        self._reactor = reactor
        self._server: AttachServer | None = None
        self._log = _open_log(container, log_directory)
        self._stdio: Stdio | None = None
        self._kept_ends: MonitorEnds | None = None
        self._process: Started | None = None
        self._started_at = 0.0
        self._restart_count = 0
        self._last_delay = 0.0
        self._last_exit_code = 0
        self._oom_killed = False
        self._stopped_by_user = False
        self._no_restart = False
        self._restart_timer: Timer | None = None
        self._kill_timer: Timer | None = None
        self._ports: tuple[PublishedPort, ...] = ()
        self._network_revivals = 0
        self._watched_network = -1
        self._publishing = -1
        self._revival_timer: Timer | None = None
        self._term_fd = self._knock_fd = -1
        self._door: Door | None = None
        self._mounts = MountWatch(engine, self._reactor, lambda lost: self._writer.write(lost.apply))

    # -- the first start ---------------------------------------------------------------------------------------------

    def start_to_gate(self) -> None:
        """Make the container's process, which waits. Raises SandboxError."""
        # a start mounts again what was lost
        self._mounts.end()
        config = self._container.config
        ends: ContainerEnds | None = None
        if not config.terminal:
            ends, self._kept_ends = make_pipes(open_stdin=config.open_stdin)
        try:
            self._engine.start(ends)
        finally:
            if ends is not None:
                ends.close()

    def go(self, ports: tuple[PublishedPort, ...] | None = None) -> None:
        """Let the process become the container's program, and record that it runs. Raises SandboxError."""
        self._ports = ports or self._ports
        self._process = self._engine.release()
        pid, pidfd, master_fd = self._process
        self._started_at = time.monotonic()
        started_ns = time.time_ns()
        ends = self._kept_ends or MonitorEnds(master_fd, master_fd)
        self._kept_ends = None
        self._stdio = Stdio(self._reactor, ends, self._take_output)
        self._stdio.on_input_taken = self._input_taken
        self._reactor.watch(pidfd, READ, lambda _events: self._process_ended())
        start = process_start(pid)
        started = RunStarted(pid, start, started_ns, self._restart_count, self._engine.cgroup, ports)
        # a first start that cannot be recorded is none; once clients are served, life goes on
        if self._server is not None:
            self._writer.write(started.apply)
        elif self._journal.update(started.apply) is None:
            raise ConflictError(f"container {self._container.name} was removed meanwhile")
        self._mounts.begin()

    def serve(
        self, listener: socket.socket | None, starter: Channel | None, attachment: Attachment, door: Door | None = None
    ) -> None:
        """Serve clients until the container's life is over; `starter` is attached before any output is read."""
        self._server = AttachServer(self._reactor, self, listener)
        self._term_fd = self._reactor.watch_signal(signal.SIGTERM, self._stop_as_at_shutdown)
        if door is not None:
            self._door = door
            self._knock_fd = self._reactor.watch_signal(KNOCK_SIGNAL, self._knocked)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (KNOCK_SIGNAL,))
        if starter is not None:
            connection, decoder, early = starter.hand_over()
            client = self._server.adopt(connection, decoder, patient=True)
            client.send(encode_message("started"))
            if attachment.wanted:
                self._server.answer(client, {"type": "attach", **attachment._asdict()})
                for frame in early:
                    client.handle(frame)
            else:
                client.close_when_sent()
        self._watch_network()
        self._reactor.run()

    def abandon(self) -> None:
        """End what there is: the start failed, or the command that wanted it is gone."""
        if self._process is not None:
            # it ran, and could not be recorded
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._process.pidfd, signal.SIGKILL)
            os.waitpid(self._process.pid, 0)
        self._discard_process()
        if self._log is not None:
            self._log.close()

    # -- what clients ask (Desk) -------------------------------------------------------------------------------------

    def take_input(self, data: bytes) -> bool:
        if self._stdio is None:
            return True
        self._stdio.write_input(data)
        return not self._stdio.input_full

    def end_input(self, *, detached: bool) -> None:
        # Docker's StdinOnce: the input of `run -i` ends with its first giver; that of `run -d -i` stays open
        if self._stdio is not None and not detached and self._container.config.stdin_once:
            self._stdio.end_input()

    def resize(self, rows: int, columns: int) -> None:
        if self._stdio is not None:
            self._stdio.resize(rows, columns)

    def send_signal(self, number: int) -> None:
        if self._process is None:
            raise ConflictError(f"container {self._container.name} is not running")
        if ends_restarts(self._container.config, number):
            self._no_restart = True
        try:
            signal.pidfd_send_signal(self._process.pidfd, number)
            if number == signal.SIGKILL:
                self._break_mounts_later(self._process)
        except ProcessLookupError:
            raise ConflictError(f"container {self._container.name} is not running") from None
        except (OSError, ValueError, OverflowError) as error:
            raise SandboxError(f"cannot send signal {number}", cause=explain_fault(error)) from error

    def request_stop(self, signal_number: int, timeout_seconds: float | None) -> None:
        """Signal, and kill when the time is over (None: never); no restart follows."""
        self._stopped_by_user = True
        self._stop(signal_number, timeout_seconds)

    def _stop_as_at_shutdown(self) -> None:
        """SIGTERM, from who ends the session or the machine: as Docker stops containers then.

        Their own signal and time, no restart follows; that is no wish of the person's that they stay down.
        """
        self._no_restart = True
        self._stop(*way_to_stop(self._container.config))

    def _stop(self, signal_number: int, timeout_seconds: float | None) -> None:
        if self._restart_timer is not None:
            self._restart_timer.cancel()
            self._finish()
            return
        if self._process is None:
            return
        try:
            self.send_signal(signal_number)
        except ConflictError:
            return  # it just ended; the loop will see that
        if timeout_seconds is not None:
            if self._kill_timer is not None:
                self._kill_timer.cancel()
            process = self._process
            self._kill_timer = self._reactor.after(timeout_seconds, lambda: self._kill(process))

    def _kill(self, process: Started) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process.pidfd, signal.SIGKILL)
        self._break_mounts_later(process)

    def _break_mounts_later(self, killed: Started) -> None:
        self._mounts.break_unless(lambda: self._process is not killed)

    def output_blocked(self, blocked: bool) -> None:
        if self._stdio is not None:
            if blocked:
                self._stdio.pause()
            else:
                self._stdio.resume()

    # -- the container's network -------------------------------------------------------------------------------------

    def _watch_network(self) -> None:
        pidfd = self._engine.network_pidfd
        if pidfd >= 0:
            self._watched_network = pidfd
            self._reactor.watch(pidfd, READ, lambda _events: self._network_ended())

    def _network_ended(self) -> None:
        self._unwatch_network()
        # a container may make it crash at will: later and later, and not for ever
        delay = _FIRST_REVIVAL_SECONDS * (2**self._network_revivals - 1)
        self._network_revivals += 1
        if self._network_revivals <= _MOST_REVIVALS:
            self._revival_timer = self._reactor.after(delay, self._revive_network)

    def _revive_network(self) -> None:
        self._revival_timer = None
        try:
            self._publishing = self._engine.revive_network(self._ports)
        except SandboxError as error:
            self._note_error(error)
        if self._publishing >= 0:
            # which takes an import of trio's: who is attached need not wait for it
            self._reactor.watch(self._publishing, READ, lambda _events: self._network_revived())
        self._watch_network()

    def _network_revived(self) -> None:
        self._forget_publishing()
        try:
            self._engine.finish_revival(self._ports)
        except SandboxError as error:
            self._note_error(error)

    def _forget_publishing(self) -> None:
        if self._publishing >= 0:
            self._reactor.forget(self._publishing)
            self._publishing = -1

    def _unwatch_network(self) -> None:
        self._forget_publishing()
        if self._revival_timer is not None:
            self._revival_timer.cancel()
            self._revival_timer = None
        if self._watched_network >= 0:
            self._reactor.forget(self._watched_network)
            self._watched_network = -1

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

    def _process_ended(self) -> None:
        process = self._process
        assert process is not None
        _pid, status = os.waitpid(process.pid, 0)
        self._process = None
        self._reactor.forget(process.pidfd)
        os.close(process.pidfd)
        code = os.waitstatus_to_exitcode(status)
        self._last_exit_code = 128 - code if code < 0 else code
        if self._kill_timer is not None:
            self._kill_timer.cancel()
            self._kill_timer = None
        if self._stdio is not None:
            # every process of the container is dead by now (pid_namespaces(7)), so this ends
            self._stdio.drain()
            self._stdio.close()
            self._stdio = None
        if self._log is not None:
            self._log.finish()
        self._oom_killed = self._engine.after_exit()
        self._decide(time.monotonic() - self._started_at)

    def _decide(self, ran_seconds: float) -> None:
        ended = Ended(
            self._last_exit_code,
            ran_seconds,
            self._restart_count,
            self._stopped_by_user or self._no_restart,
            self._last_delay,
        )
        delay = restart_delay(self._container.config.restart, ended)
        if delay is None:
            self._finish()
            return
        self._last_delay = delay
        code = self._last_exit_code
        if not self._writer.write(RunEnded(code, time.time_ns(), self._oom_killed, stays_down=False).apply):
            self._finish()
            return
        if self._server is not None:
            self._server.ended(code)
        self._restart_timer = self._reactor.after(delay, self._restart)

    def _restart(self) -> None:
        self._restart_timer = None
        self._restart_count += 1
        try:
            self.start_to_gate()
            self.go()
        except SandboxError as error:
            self._restart_failed(error)

    def _restart_failed(self, error: SandboxError) -> None:
        self._discard_process()
        self._last_exit_code = code_of_failed_start(error)
        self._note_error(error)
        self._decide(0.0)

    def _note_error(self, error: SandboxError) -> None:
        message = error.message

        def note(state: ContainerState) -> ContainerState:
            return state._replace(error=message)

        self._writer.write(note)

    def _discard_process(self) -> None:
        self._engine.abandon()
        for fd in self._kept_ends or ():
            if fd >= 0:
                os.close(fd)
        self._kept_ends = None

    def _finish(self) -> None:
        assert self._server is not None
        if self._log is not None:
            self._log.close()
        self._unwatch_network()
        self._mounts.end()
        self._engine.close()
        code = self._last_exit_code
        ended = RunEnded(code, time.time_ns(), self._oom_killed, stopped_by_user=self._stopped_by_user)
        if self._container.config.auto_remove:
            self._writer.remove(ended.apply)
        else:
            self._writer.end(ended.apply)
        # whoever comes from now on hears it as well: he may have read that it runs
        self._server.over(code)
        self._writer.when_done(self._close)

    def _close(self) -> None:
        """The loop goes on until the last client has taken what it is to get, then nothing is watched any more."""
        assert self._server is not None
        self._server.close()
        self._reactor.forget_signal(signal.SIGTERM, self._term_fd)
        self._server.when_empty(self._leave)

    def _leave(self) -> None:
        if self._knock_fd >= 0:
            self._reactor.forget_signal(KNOCK_SIGNAL, self._knock_fd)
            self._knock_fd = -1

    def _knocked(self) -> None:
        """Somebody has lost the socket."""
        assert self._door is not None
        assert self._server is not None
        if not self._writer.is_done:
            self._server.listen_at(self._door.listen_again())
        self._door.answer()


def _open_log(container: Container, directory: str) -> LogWriter | None:
    log = container.config.log
    return None if log.driver == "none" else LogWriter(directory, parse_log_options(log.driver, log.options))
