"""Finding the monitor of a container: by its socket, and where that is gone by its process.

The runtime directory of a user goes at a log-out, and people clean up. The record names the monitor's process all the
same, so a command asks it to listen again:

    command                                  monitor
    no socket can be connected
    makes a pipe beside it, knock-<pid>
    SIGURG ────────────────────────────────▶ makes directory and socket again, in the runtime directory of the record
                                             and in the container's own, which every command sees
           ◀──────────── opens the pipe ──── (or ends: then there is nobody to be asked)
    connects

The signal is one that is ignored by who does not know of it, and waits for a monitor that is just starting. Nobody is
killed because he cannot be reached.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from sandbox.container.model.claims import claim_of
from sandbox.container.model.runtime_files import KNOCK_PREFIX, KNOCK_SIGNAL, SOCKET_NAME, runtime_directory
from sandbox.errors import SandboxError
from sandbox.live_processes import is_halted
from sandbox.protocol.channel import Channel
from sandbox.protocol.local_sockets import connect_to, listen_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


def reach_monitor(paths: Paths, container: Container, *, patience_seconds: float | None = None) -> Channel | None:
    """A connection to the container's monitor; None when that has ended, or has only its last clients left to serve.

    Raises SandboxError where it does not answer for `patience_seconds`.
    """
    channel = _connect(paths, container)
    if channel is None and wait_monitor(paths, container, patience_seconds=patience_seconds):
        channel = _connect(paths, container)
    return channel


def wait_monitor(paths: Paths, container: Container, *, patience_seconds: float | None = None) -> bool:
    """Wait until the monitor answers (True), however far its start is, or has ended (False).

    Of a container that is being removed the end of that is waited for. Raises SandboxError where nothing happens for
    `patience_seconds`.
    """
    if container.state.status == "removing":
        wait_holder_gone(container)
        return False
    pidfd = open_holder(container)
    if pidfd < 0:
        return False
    try:
        place, pipe = _make_pipe(paths, container)
        try:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, KNOCK_SIGNAL)
            return _wait(container, pipe, pidfd, patience_seconds)
        finally:
            os.close(pipe)
            _remove_pipe(paths, container, place)
    finally:
        os.close(pidfd)


def refuse_halted(container: Container) -> None:
    """Raise SandboxError where the monitor was stopped as a process: it would take a request, and not answer."""
    claim = claim_of(container.state)
    if claim.is_alive and is_halted(claim.pid):
        raise SandboxError(
            f"the monitor of container {container.name} does not answer",
            cause=f"process {claim.pid} was stopped, by SIGSTOP or by a debugger",
            mend=f"kill -CONT {claim.pid}",
        )


def wait_holder_gone(container: Container) -> None:
    """Wait until the process that the record names has ended, however long that takes."""
    pidfd = open_holder(container)
    if pidfd >= 0:
        import select

        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.poll()
        os.close(pidfd)


def open_holder(container: Container) -> int:
    """A descriptor of the process that the record names, -1 where it has ended."""
    claim = claim_of(container.state)
    if not claim.is_alive:
        return -1
    try:
        pidfd = os.pidfd_open(claim.pid)
    except ProcessLookupError:
        return -1
    # asked again with the descriptor in hand: the number may have been given anew
    if claim.is_alive:
        return pidfd
    os.close(pidfd)
    return -1


def listen_again(paths: Paths, container: Container) -> list[socket.socket]:
    """The monitor's side: new sockets, wherever one can be made."""
    from storage.private_directories import make_private_directory

    listeners = []
    with suppress(OSError):
        make_private_directory(runtime_directory(paths, container.id, container.state))
    for directory in _places(paths, container):
        with suppress(OSError):
            listeners.append(listen_at(directory, SOCKET_NAME))
    return listeners


def answer_knocks(paths: Paths, container: Container) -> None:
    """The monitor's side: who has knocked is told to come in."""
    for directory in _places(paths, container):
        try:
            names = os.listdir(directory)
        except OSError:
            continue
        for name in names:
            if name.startswith(KNOCK_PREFIX):
                with suppress(OSError):
                    os.close(os.open(f"{directory}/{name}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
                with suppress(OSError):
                    os.unlink(f"{directory}/{name}")


def _places(paths: Paths, container: Container) -> tuple[str, str]:
    return runtime_directory(paths, container.id, container.state), paths.container_data(container.id)


def _connect(paths: Paths, container: Container) -> Channel | None:
    for directory in _places(paths, container):
        try:
            return Channel(connect_to(directory, SOCKET_NAME))
        except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
            continue
    return None


def _make_pipe(paths: Paths, container: Container) -> tuple[str, int]:
    """A named pipe where the monitor will look for it, and its reading end: it hangs up when the monitor opens it."""
    from storage.private_directories import make_private_directory

    failure: OSError | None = None
    for directory in reversed(_places(paths, container)):
        path = f"{directory}/{KNOCK_PREFIX}{os.getpid()}"
        try:
            # the container's own directory may be gone because it is being removed
            if directory != paths.container_data(container.id):
                make_private_directory(directory)
            with suppress(FileExistsError):
                os.mkfifo(path, 0o600)
            return path, os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            failure = error
    raise SandboxError(
        f"cannot reach the monitor of container {container.name}",
        cause=f"{failure.strerror}: {failure.filename}" if failure else "",
        mend=f"ls -ld {paths.container_data(container.id)}",
    )


def _remove_pipe(paths: Paths, container: Container, path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
    directory = os.path.dirname(path)
    if directory != paths.container_data(container.id):
        # where it was made for this: with a socket in it it stays
        with suppress(OSError):
            os.rmdir(directory)


def _wait(container: Container, pipe: int, pidfd: int, patience_seconds: float | None) -> bool:
    import select

    poller = select.poll()
    poller.register(pipe, select.POLLIN)
    poller.register(pidfd, select.POLLIN)
    ready = dict(poller.poll(None if patience_seconds is None else patience_seconds * 1000))
    if not ready:
        raise SandboxError(
            f"the monitor of container {container.name} does not answer",
            cause=f"process {container.state.monitor_pid} has not listened for {patience_seconds:.0f} seconds",
            mend=f"sandbox rm -f {container.name} ends it",
        )
    return pipe in ready
