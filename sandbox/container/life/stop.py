"""Asking a running container's monitor for something: signals, stopping, waiting.

The monitor signals, not the command: it is to know that no restart follows.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from sandbox.container.life.reconcile import KILLED_EXIT_CODE, reconcile
from sandbox.container.model.claims import ACTIVE, claim_of
from sandbox.container.model.stop_way import wait_seconds, way_to_stop
from sandbox.container.model.store import load_container
from sandbox.container.monitor.reach import open_holder, reach_monitor, refuse_halted, wait_holder_gone, wait_monitor
from sandbox.errors import ConflictError, NotFoundError, SandboxError
from sandbox.protocol.frames import EXIT, MESSAGE
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths
    from sandbox.protocol.channel import Channel

#: how long a monitor is given to make its socket again
_PATIENCE_SECONDS = 30.0
#: how long a forced removal waits for an orderly end before it kills the monitor too
_FORCE_SECONDS = 10.0


def is_active(container: Container) -> bool:
    """Whether the container runs, or will again by itself."""
    return container.state.status in ACTIVE


def open_channel(paths: Paths, container: Container) -> Channel | None:
    """A connection to the container's monitor; None where that has ended. Raises SandboxError where it hangs."""
    return reach_monitor(paths, container, patience_seconds=_PATIENCE_SECONDS)


def not_running_error(container: Container) -> ConflictError:
    return ConflictError(f"container {container.id} is not running", mend=f"sandbox start {container.name}")


def send_signal(paths: Paths, container: Container, number: int) -> None:
    """Send a signal to the container's first process. Raises ConflictError where it does not run."""
    if not is_active(container):
        raise not_running_error(container)
    refuse_halted(container)
    channel = open_channel(paths, container)
    if channel is None:
        raise not_running_error(container)
    try:
        channel.send_message("signal", signal=number)
        frame = channel.receive()
    finally:
        channel.close()
    # an exit code is what everybody is told who comes when it has just ended
    if frame is None or frame.kind != MESSAGE:
        raise not_running_error(container)
    if frame.message["type"] == "error":
        message = frame.message
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
    refuse_halted(container)
    channel = open_channel(paths, container)
    if channel is not None:
        try:
            channel.send_message("stop", signal=signal_number, timeout=wait)
            if _read_exit(channel) is not None:
                return
        finally:
            channel.close()
    # it ended without a word, or is just ending
    wait_holder_gone(container)
    with open_state(paths) as connection:
        # and what a killed one left behind is ended
        _present(connection, paths, container)


def wait_container(connection: sqlite3.Connection, paths: Paths, container: Container) -> int:
    """The exit code of the run that is on, or of the last one. Raises NotFoundError where the container was removed
    before that could be told.
    """
    present = container
    while is_active(present):
        channel = reach_monitor(paths, present)
        if channel is not None:
            try:
                channel.send_message("wait")
                code = _read_exit(channel)
            finally:
                channel.close()
            if code is not None:
                return code
        found = _present(connection, paths, container)
        if found is not None and is_active(found) and claim_of(found.state) == claim_of(present.state):
            # it cannot be reached, or let go of us before the end: that comes with its process's at the latest
            wait_holder_gone(found)
            found = _present(connection, paths, container)
        if found is None:
            raise NotFoundError(f"No such container: {container.name}", cause="it was removed meanwhile")
        present = found
    return present.state.exit_code


def end_monitor(paths: Paths, container: Container) -> None:
    """Kill the container and wait until its monitor is gone; one that does not answer is killed as well."""
    if not is_active(container):
        # a start is under way, and nothing that runs would be lost; or a removal, which is waited for
        if container.state.status != "removing":
            _kill_monitor(container)
        wait_holder_gone(container)
        return
    try:
        refuse_halted(container)
    except SandboxError:
        _kill_monitor(container)
        wait_holder_gone(container)
        return
    try:
        channel = reach_monitor(paths, container, patience_seconds=_FORCE_SECONDS)
    except SandboxError:
        channel = None
    if channel is not None:
        channel.connection.settimeout(_FORCE_SECONDS)
        try:
            channel.send_message("stop", signal=int(signal.SIGKILL), timeout=0, to_remove=True)
            _read_exit(channel)
        except TimeoutError:
            _kill_monitor(container)
        finally:
            channel.close()
    _wait_gone_or_kill(container)


def code_after_end(paths: Paths, container: Container) -> int:
    """The exit code of a container whose connection ended without one. Raises SandboxError where it runs on."""
    if wait_monitor(paths, container):
        with open_state(paths, durable=False) as connection:
            present = load_container(connection, container.id)
        if present is not None and is_active(present) and claim_of(present.state) == claim_of(container.state):
            raise SandboxError(
                f"the connection to container {container.name} was cut",
                cause="its output was not taken for a while; it runs on",
                mend=f"sandbox attach {container.name}",
            )
    with open_state(paths) as connection:
        found = _present(connection, paths, container)
    if found is None:
        return KILLED_EXIT_CODE
    return KILLED_EXIT_CODE if is_active(found) else found.state.exit_code


def _present(connection: sqlite3.Connection, paths: Paths, container: Container) -> Container | None:
    """The container as it is now, mended; None where it is gone."""
    found = load_container(connection, container.id)
    return reconcile(connection, paths, found) if found is not None else None


def _wait_gone_or_kill(container: Container) -> None:
    pidfd = open_holder(container)
    if pidfd < 0:
        return
    try:
        import select

        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        if not poller.poll(_FORCE_SECONDS * 1000):
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            poller.poll()
    finally:
        os.close(pidfd)


def _kill_monitor(container: Container) -> None:
    pidfd = open_holder(container)
    if pidfd >= 0:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)


def _read_exit(channel: Channel) -> int | None:
    """The exit code the monitor tells, or None where it ended without; an error it answers is raised."""
    while (frame := channel.receive()) is not None:
        if frame.kind == EXIT:
            return frame.exit_code
        if frame.kind == MESSAGE and frame.message["type"] == "error":
            raise SandboxError(str(frame.message["message"]), cause=str(frame.message.get("cause", "")))
    return None
