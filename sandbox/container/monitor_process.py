"""The monitor as a process: forked from the command that starts a container, told what to start, then on its own.

    command                                 monitor
    spawn_monitor: fork ─────────────────▶  new session, no descriptors but the channel
                                            unshares; the command maps its ids (runtime.user_namespace)
    writes the record meanwhile
      plan ──────────────────────────────▶  namespaces, network, tree, the process up to its gate
           ◀──────────────────── prepared
    publishes ports
      go {ports} ────────────────────────▶  the process runs, the record says so   (or: cancel {message})
           ◀─────── started, then output, exit   (or failed, at any point before)

When the command ends before "go", whatever was made is taken down again, and a container that was being created with
it is removed. After "started" the monitor needs nobody.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, NoReturn

from sandbox.container.channel import Channel
from sandbox.container.documents import from_plain
from sandbox.container.engine import KernelEngine
from sandbox.container.journal import DatabaseJournal
from sandbox.container.limits import Limits
from sandbox.container.local_sockets import listen_at
from sandbox.container.monitor import Attachment, Monitor
from sandbox.container.neighbours import find_neighbours
from sandbox.container.reactor import Reactor
from sandbox.container.record import Container, PublishedPort
from sandbox.container.transitions import StartFailed
from sandbox.errors import SandboxError, StartError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.reports import decode_error, encode_error
from sandbox.runtime.terminal import WindowSize
from sandbox.runtime.user_namespace import (
    PeerPair,
    enter_user_namespace,
    join_user_namespace_of,
    make_peers,
    map_forked_child,
)

if TYPE_CHECKING:
    from sandbox.paths import Paths

SOCKET_NAME = "monitor.sock"
#: what `ps -o comm` shows: at most 15 bytes, proc(5)
PROCESS_NAME = "sandbox-monitor"


class SpawnRequest(NamedTuple):
    """What a monitor must know before it is told the rest."""

    container_id: str
    #: the container is made by the same command: where that fails or dies, it goes again
    is_new: bool
    #: the container whose network is shared, whose outer user namespace is entered for that; 0 is none
    join_pid: int = 0


class SpawnedMonitor(NamedTuple):
    """The command's side: `pid` is its child until it exits."""

    pid: int
    channel: Channel


def spawn_monitor(paths: Paths, request: SpawnRequest) -> SpawnedMonitor:
    """Fork a monitor that waits for its plan. No database connection may be open. Raises HostError."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    peers = make_peers()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        _run(paths, request, theirs, peers)
    theirs.close()
    channel = Channel(ours)
    try:
        if request.join_pid:
            peers.mapper.close()
            peers.mapped.close()
        else:
            map_forked_child(peers, pid)
    except SandboxError as error:
        # what the monitor itself says is the cause; that it ended is what followed from it
        message = channel.receive_message()
        channel.close()
        os.waitpid(pid, 0)
        if message is None:
            raise
        raise decode_error(str(message["report"]).encode()) from error
    except BaseException:
        channel.close()
        os.waitpid(pid, 0)
        raise
    return SpawnedMonitor(pid, channel)


def _run(paths: Paths, request: SpawnRequest, control: socket.socket, peers: PeerPair) -> NoReturn:
    status = 1
    channel = Channel(control)
    try:
        _become_own_process({control.fileno(), peers.mapped.fileno(), peers.mapper.fileno()})
        if request.join_pid:
            peers.mapper.close()
            peers.mapped.close()
            join_user_namespace_of(request.join_pid)
        else:
            enter_user_namespace(peers)
        _MonitorProcess(paths, request, channel).run()
        status = 0
    except SandboxError as error:
        channel.send_message("failed", report=encode_error(error).decode(errors="replace"))
    except Exception as error:  # noqa: BLE001  # a process boundary: the command reads it as a report
        _leave_trace(paths, request)
        report = encode_error(error, "start the container's monitor")
        channel.send_message("failed", report=report.decode(errors="replace"))
    finally:
        # never through the interpreter's own way out: it belongs to the command that was forked
        os._exit(status)


def _become_own_process(kept: set[int]) -> None:
    """Leave the command's session, directory, streams and descriptors; ignore what a terminal sends."""
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2 and fd not in kept:
            try:
                os.close(fd)
            except OSError:
                continue  # the descriptor of the listing itself
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGWINCH):
        signal.signal(number, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with open("/proc/self/comm", "w") as file:
        file.write(PROCESS_NAME)


def _leave_trace(paths: Paths, request: SpawnRequest) -> None:
    """A fault of ours: its traceback goes beside the container's log, since the monitor has no terminal."""
    import traceback

    try:
        with open(f"{paths.container_data(request.container_id)}/monitor.log", "a") as file:
            traceback.print_exc(file=file)
    except OSError:
        pass


class _Plan(NamedTuple):
    container: Container
    attachment: Attachment
    window_size: WindowSize | None
    limits: Limits

    @classmethod
    def of(cls, message: dict[str, Any]) -> _Plan:  # Any: JSON
        window = message.get("window")
        return cls(
            from_plain(Container, message["container"]),
            Attachment(**message["attachment"]),
            WindowSize(*window) if window else None,
            Limits.of(message["limits"]),
        )


class _MonitorProcess:
    """The phases between the fork and the event loop, and what is undone where one of them fails."""

    def __init__(self, paths: Paths, request: SpawnRequest, channel: Channel) -> None:
        self._paths = paths
        self._request = request
        self._channel = channel
        self._journal = DatabaseJournal(paths, request.container_id)

    def run(self) -> None:
        message = self._channel.receive_message()
        if message is None:
            self._undo(None)
            return
        plan = _Plan.of(message)
        engine = KernelEngine(
            self._paths,
            plan.container,
            lambda: find_neighbours(self._journal.connection, self._paths, plan.container.config),
            plan.window_size,
            plan.limits,
        )
        try:
            monitor, listener = self._start(plan, engine)
        except BaseException as error:
            engine.close()
            self._undo(error if isinstance(error, SandboxError) else None)
            raise
        if monitor is None:
            engine.close()
            self._undo(None)
            return
        monitor.serve(listener, self._channel, plan.attachment)

    def _start(self, plan: _Plan, engine: KernelEngine) -> tuple[Monitor | None, socket.socket | None]:
        """The monitor of a container that runs, or None where the command is gone. Raises SandboxError."""
        engine.prepare()
        monitor = Monitor(
            plan.container, engine, self._journal, Reactor(), self._paths.container_data(plan.container.id)
        )
        try:
            monitor.start_to_gate()
            self._channel.send_message("prepared", slirp_socket=engine.slirp_socket)
            message = self._channel.receive_message()
            if message is not None and message["type"] == "cancel":
                raise StartError(str(message["message"]))
            if message is None:
                monitor.abandon()
                return None, None
            listener = listen_at(self._paths.container_runtime(plan.container.id), SOCKET_NAME)
            ports = tuple(PublishedPort(*port) for port in message["ports"])
            engine.serve_udp_loopback(ports)
            monitor.go(ports)
        except BaseException:
            monitor.abandon()
            raise
        return monitor, listener

    def _undo(self, error: SandboxError | None) -> None:
        """Leave the record as Docker does: there, with the reason; gone where it was --rm or half made."""
        container = self._journal.load()
        if container is None:
            return
        if container.config.auto_remove or (self._request.is_new and error is None):
            self._journal.remove()
            return
        failed = StartFailed()
        if error is not None:
            failed = StartFailed(error.exit_status if isinstance(error, StartError) else 128, error.message)
        self._journal.update(failed.apply)
