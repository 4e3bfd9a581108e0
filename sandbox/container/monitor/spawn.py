"""A monitor's birth: forked from the command that starts a container, in a session and user namespace of its own.

    command                                 monitor
    spawn_monitor: fork ─────────────────▶  unshares, leaves session and descriptors of the command
    newuidmap and newgidmap run             imports what only a monitor needs (monitor.process)
    imports what only a command needs
           ───────────────── mapped ─────▶  goes on as `monitor.process` draws it

Both sides import little before the fork and the rest after it: on two processors that takes half the time, and neither
carries in memory what only the other one needs.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from sandbox.container.model.runtime_files import KNOCK_SIGNAL
from sandbox.errors import SandboxError
from sandbox.named_tuple import NamedTuple
from sandbox.protocol.channel import Channel
from sandbox.runtime.own_process import become_own_process
from sandbox.runtime.reports import decode_error, encode_error
from sandbox.runtime.user_namespace import (
    MapperGoneError,
    PeerPair,
    enter_user_namespace,
    join_user_namespace_of,
    make_peers,
    map_forked_child,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from sandbox.container.monitor.plan import SpawnRequest
    from sandbox.paths import Paths

#: what `ps -o comm` shows: at most 15 bytes, proc(5)
PROCESS_NAME = "sandbox-monitor"


class SpawnedMonitor(NamedTuple):
    """The command's side: `pid` is its child until it exits."""

    pid: int
    channel: Channel


def spawn_monitor(paths: Paths, request: SpawnRequest, meanwhile: Callable[[], None] = lambda: None) -> SpawnedMonitor:
    """Fork a monitor that waits for its plan. No database connection may be open. Raises HostError.

    `meanwhile` is called while other processes are at work on the monitor's maps.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    peers = make_peers()
    sys.stdout.flush()
    sys.stderr.flush()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (KNOCK_SIGNAL,))
    pid = os.fork()
    if pid == 0:
        _run(paths, request, theirs, peers)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    theirs.close()
    channel = Channel(ours)
    try:
        if request.join_pid:
            peers.mapper.close()
            peers.mapped.close()
            meanwhile()
        else:
            map_forked_child(peers, pid, meanwhile=meanwhile)
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
        if request.join_pid:
            peers.mapper.close()
            peers.mapped.close()
            join_user_namespace_of(request.join_pid)
            _become_own_process({control.fileno()})
        else:
            # the maps are asked for at once: they take longest
            enter_user_namespace(peers, lambda: _get_ready({control.fileno(), peers.mapped.fileno()}))
        from sandbox.container.monitor.process import run_monitor  # see _get_ready

        run_monitor(paths, request, channel)
        status = 0
    except MapperGoneError:
        pass  # the command knows why
    except SandboxError as error:
        channel.send_message("failed", report=encode_error(error).decode(errors="replace"))
    except Exception as error:  # noqa: BLE001  # a process boundary: the command reads it as a report
        _leave_trace(paths, request)
        report = encode_error(error, "start the container's monitor")
        channel.send_message("failed", report=report.decode(errors="replace"))
    finally:
        # never through the interpreter's own way out: it belongs to the command that was forked
        os._exit(status)


def _get_ready(kept: set[int]) -> None:
    _become_own_process(kept)
    # imported after the fork: the command meanwhile imports what it needs itself
    import sandbox.container.monitor.process  # noqa: F401


def _become_own_process(kept: set[int]) -> None:
    # a knock that comes early waits until it can be answered
    become_own_process(kept, PROCESS_NAME, (KNOCK_SIGNAL,))


def _leave_trace(paths: Paths, request: SpawnRequest) -> None:
    """A fault of ours: its traceback goes beside the container's log, since the monitor has no terminal."""
    import traceback

    try:
        with open(f"{paths.container_data(request.container_id)}/monitor.log", "a") as file:
            traceback.print_exc(file=file)
    except OSError:
        pass
