"""Asking a running container's monitor for something: signals, stopping, waiting.

The monitor signals, not the command: the container's processes may be of subordinate ids, which this user has no
power over outside of the user namespace.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from sandbox.container.channel import Channel
from sandbox.container.frames import EXIT, MESSAGE
from sandbox.container.local_sockets import connect_to
from sandbox.container.reconcile import KILLED_EXIT_CODE, reconcile
from sandbox.container.stop_way import wait_seconds, way_to_stop
from sandbox.container.store import load_container
from sandbox.errors import ConflictError, SandboxError
from sandbox.state import is_alive, open_state

if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.record import Container
    from sandbox.paths import Paths

SOCKET_NAME = "monitor.sock"
_ACTIVE = ("running", "restarting", "paused")
#: how long a forced removal waits for an orderly end before it kills the monitor too
_FORCE_SECONDS = 10.0


def open_channel(paths: Paths, container: Container) -> Channel | None:
    """A connection to the container's monitor; None where there is none, or it is just ending."""
    try:
        return Channel(connect_to(paths.container_runtime(container.id), SOCKET_NAME))
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def is_active(container: Container) -> bool:
    """Whether the container runs, or will again by itself."""
    return container.state.status in _ACTIVE


def not_running_error(container: Container) -> ConflictError:
    return ConflictError(f"container {container.id} is not running", mend=f"sandbox start {container.name}")


def send_signal(paths: Paths, container: Container, number: int) -> None:
    """Send a signal to the container's first process. Raises ConflictError where it does not run."""
    if container.state.status != "running":
        raise not_running_error(container)
    channel = open_channel(paths, container)
    if channel is None:
        raise not_running_error(container)
    try:
        channel.send_message("signal", signal=number)
        message = channel.receive_message()
    finally:
        channel.close()
    if message is None:
        raise not_running_error(container)
    if message["type"] == "error":
        raise SandboxError(f"cannot kill container {container.name}: {message['message']}", cause=message["cause"])


def stop_container(
    paths: Paths, container: Container, *, signal_number: int | None = None, timeout_seconds: int | None = None
) -> None:
    """Stop the container: its stop signal, and SIGKILL when the time is over (below 0: never). Returns when it ended.

    Nothing happens to one that does not run.
    """
    if not is_active(container):
        return
    way = way_to_stop(container.config)
    if signal_number is None:
        signal_number = way.signal_number
    wait = way.wait_seconds if timeout_seconds is None else wait_seconds(timeout_seconds)
    channel = open_channel(paths, container)
    if channel is None:
        wait_monitor_gone(container)
        return
    try:
        channel.send_message("stop", signal=signal_number, timeout=wait)
        _read_exit(channel)
    finally:
        channel.close()


def wait_container(connection: sqlite3.Connection, paths: Paths, container: Container) -> int:
    """The exit code of the run that is on, or of the last one."""
    channel = open_channel(paths, container) if is_active(container) else None
    if channel is not None:
        try:
            channel.send_message("wait")
            code = _read_exit(channel)
        finally:
            channel.close()
        if code is not None:
            return code
        wait_monitor_gone(container)
    found = load_container(connection, container.id)
    mended = reconcile(connection, paths, found) if found is not None else None
    return mended.state.exit_code if mended is not None else KILLED_EXIT_CODE


def end_monitor(paths: Paths, container: Container) -> None:
    """Kill the container and wait until its monitor is gone; one that does not answer is killed as well."""
    channel = open_channel(paths, container)
    if channel is not None:
        channel.connection.settimeout(_FORCE_SECONDS)
        try:
            channel.send_message("stop", signal=int(signal.SIGKILL), timeout=0)
            _read_exit(channel)
        except TimeoutError:
            _kill_monitor(container)
        finally:
            channel.close()
    elif container.state.status in ("created", "exited"):
        # a start is under way: there is no socket yet, and nothing that runs would be lost
        _kill_monitor(container)
    wait_monitor_gone(container)


def wait_monitor_gone(container: Container) -> None:
    """Wait until the monitor process that the record names has ended; kill it when it takes too long."""
    state = container.state
    if not is_alive(state.monitor_pid, state.monitor_start, state.boot_id):
        return
    deadline = time.monotonic() + _FORCE_SECONDS
    try:
        pidfd = os.pidfd_open(state.monitor_pid)
    except ProcessLookupError:
        return
    try:
        import select

        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        # checked again with the descriptor in hand: the number may have been given anew
        if is_alive(state.monitor_pid, state.monitor_start, state.boot_id) and not poller.poll(
            max(0.0, deadline - time.monotonic()) * 1000
        ):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            poller.poll()
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


def code_after_crash(paths: Paths, container: Container) -> int:
    """The exit code of a container whose monitor ended without a word; its record is mended."""
    with open_state(paths) as connection:
        found = load_container(connection, container.id)
        if found is not None:
            # the kernel closes the socket of a killed monitor before it counts as dead
            wait_monitor_gone(found)
        mended = reconcile(connection, paths, found) if found is not None else None
    return mended.state.exit_code if mended is not None else KILLED_EXIT_CODE


def _kill_monitor(container: Container) -> None:
    state = container.state
    if is_alive(state.monitor_pid, state.monitor_start, state.boot_id):
        with suppress(ProcessLookupError):
            os.kill(state.monitor_pid, signal.SIGKILL)


def _read_exit(channel: Channel) -> int | None:
    """The exit code the monitor tells, or None where it ended without; an error it answers is raised."""
    while (frame := channel.receive()) is not None:
        if frame.kind == EXIT:
            return frame.exit_code
        if frame.kind == MESSAGE and frame.message["type"] == "error":
            raise SandboxError(str(frame.message["message"]), cause=str(frame.message.get("cause", "")))
    return None
