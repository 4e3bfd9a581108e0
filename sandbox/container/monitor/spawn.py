"""A monitor's birth: forked from the command that starts a container, in a session and user namespace of its own.

    command                                 monitor
    spawn_monitor: fork ─────────────────▶  unshares, leaves session and descriptors of the command
    newuidmap and newgidmap run             imports what only a monitor needs (monitor.process)
    imports what only a command needs
           ───────────────── mapped ─────▶  goes on as `monitor.process` draws it

A container on bridge networks is born into the user namespace that those share: where another one runs, there is
nothing to map. One that shares namespaces of another is born into that one's outer namespace.

Both sides import little before the fork and the rest after it: on two processors that takes half the time, and neither
carries in memory what only the other one needs.
"""

from __future__ import annotations

import os
import signal
import socket
import sys

from sandbox.container.model.runtime_files import KNOCK_SIGNAL, PROCESS_NAME, TRACE_NAME
from sandbox.errors import HostError, SandboxError, translated
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

    from sandbox.container.monitor.bridge_place import Place
    from sandbox.container.monitor.plan import SpawnRequest
    from sandbox.paths import Paths


class NoBridgesError(HostError):
    """This host gives what bridge networks take to no user."""


class SpawnedMonitor(NamedTuple):
    """The command's side: `pid` is its child until it exits."""

    pid: int
    channel: Channel


def spawn_monitor(paths: Paths, request: SpawnRequest, meanwhile: Callable[[], None] = lambda: None) -> SpawnedMonitor:
    """Fork a monitor that waits for its plan. No database connection may be open. Raises HostError.

    `meanwhile` is called while other processes are at work on the monitor's maps.
    """
    try:
        return _spawn(paths, request, meanwhile)
    except NoBridgesError:
        if not request.may_be_private:
            raise
        from sandbox.network.default import note_refusal

        note_refusal(paths)
        return _spawn(paths, request._replace(on_bridges=False), meanwhile)


def _spawn(paths: Paths, request: SpawnRequest, meanwhile: Callable[[], None]) -> SpawnedMonitor:
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
        if request.on_bridges:
            from sandbox.runtime.shared_namespaces import map_shared_child  # containers on bridges only

            map_shared_child(peers, pid, meanwhile)
            _expect_birth(channel)
        elif request.join_pid:
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


def _expect_birth(channel: Channel) -> None:
    """Wait for the bridges' network to be there. Raises the HostError of why it is not."""
    message = channel.receive_message()
    if message is None:
        raise HostError("the container's monitor died", mend="sandbox --debug run … shows more")
    if message["type"] == "failed":
        error = decode_error(str(message["report"]).encode())
        if message.get("no_bridges"):
            raise NoBridgesError(error.message, cause=error.cause, mend=error.mend)
        raise error


def _run(paths: Paths, request: SpawnRequest, control: socket.socket, peers: PeerPair) -> NoReturn:
    status = 1
    channel = Channel(control, takes_descriptors=True)
    try:
        place = _enter_namespaces(paths, request, control, peers)
        if request.on_bridges:
            channel.send_message("born")
            _import_for_bridges()
        from sandbox.container.monitor.process import run_monitor  # see _import_the_rest

        run_monitor(paths, request, channel, place)
        status = 0
    except MapperGoneError:
        pass  # the command knows why
    except NoBridgesError as error:
        channel.send_message("failed", report=encode_error(error).decode(errors="replace"), no_bridges=True)
    except SandboxError as error:
        channel.send_message("failed", report=encode_error(error).decode(errors="replace"))
    except Exception as error:  # noqa: BLE001  # a process boundary: the command reads it as a report
        from sandbox.runtime.rests import leave_trace

        leave_trace(f"{paths.container_data(request.container_id)}/{TRACE_NAME}")
        report = encode_error(error, "start the container's monitor")
        channel.send_message("failed", report=report.decode(errors="replace"))
    finally:
        # never through the interpreter's own way out: it belongs to the command that was forked
        os._exit(status)


def _enter_namespaces(paths: Paths, request: SpawnRequest, control: socket.socket, peers: PeerPair) -> Place | None:
    """Become root of an outer user namespace, with nothing left of the command; for bridges, where the router is."""
    if request.on_bridges:
        from sandbox.runtime.shared_namespaces import enter_shared_namespaces

        peers.mapper.close()
        _become_own_process({control.fileno(), peers.mapped.fileno()})
        router_fd = enter_shared_namespaces(paths.router, peers, _make_router, _import_way_out)
        from sandbox.container.monitor.bridge_place import open_place

        return open_place(paths, request.container_id, router_fd)
    if request.join_pid:
        peers.mapper.close()
        peers.mapped.close()
        join_user_namespace_of(request.join_pid)
        _become_own_process({control.fileno()})
        return None

    def get_ready() -> None:
        _become_own_process({control.fileno(), peers.mapped.fileno()})
        _import_the_rest()

    # the maps are asked for at once: they take longest
    enter_user_namespace(peers, get_ready)
    return None


def _make_router() -> int:
    from sandbox.network.router import make_router_namespace

    with translated(NoBridgesError, "cannot make the network of bridges"):
        return make_router_namespace(_import_for_bridges)


def _import_the_rest() -> None:
    # imported after the fork: the command meanwhile imports what it needs itself
    import sandbox.container.monitor.process  # noqa: F401


def _import_way_out() -> None:
    # while the command maps: what makes the router, and what leads out of it, which takes longest to come up
    import sandbox.container.monitor.bridge_place  # noqa: F401


def _import_for_bridges() -> None:
    # while the router is made, where there is none; else while the command records the container
    import sandbox.container.monitor.bridge_network
    import sandbox.network.store  # noqa: F401

    _import_the_rest()


def _become_own_process(kept: set[int]) -> None:
    # a knock that comes early waits until it can be answered
    become_own_process(kept, PROCESS_NAME, (KNOCK_SIGNAL,))
