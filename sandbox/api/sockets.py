"""Where servers listen, and how one is found, or started. Nothing here imports what a server is made of."""

from __future__ import annotations

import os
import socket
import struct
import sys
from contextlib import suppress

from sandbox.errors import ConflictError, HostError
from sandbox.protocol.local_sockets import connect_to, listen_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.paths import Paths

_CREDENTIALS = struct.Struct("3i")
#: how long a server that is started for somebody else waits for the next request
_IDLE = "10m"
_READY = b"listening"
_FIRST_LISTEN_FD = 3
#: in the runtime directory, what a server in the background says
LOG_NAME = "api.log"


def socket_path(paths: Paths) -> str:
    """That of the user's own server."""
    return paths.api_socket


def listener_pid(path: str) -> int:
    """The process that listens there; 0 where nobody does."""
    directory, name = os.path.split(path)
    try:
        with connect_to(directory or ".", name) as connection:
            peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
            return int(_CREDENTIALS.unpack(peer)[0])
    except OSError:
        return 0


def open_listener(path: str) -> socket.socket:
    """A socket that listens there, mode 0600; one that nobody listens at any more gives way.

    Raises ConflictError where somebody does, HostError where there can be none.
    """
    directory, name = os.path.split(path)
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        pid = listener_pid(path)
        if pid:
            raise ConflictError(f"{path} is served already", cause=f"by process {pid}", mend=f"kill {pid}")
        with suppress(FileNotFoundError):
            if not _is_socket(path):
                raise ConflictError(f"{path} is there already, and is no socket", mend=f"--socket OTHER, or rm {path}")
        return listen_at(directory, name)
    except OSError as error:
        raise HostError(
            f"cannot listen at {path}", cause=error.strerror or str(error), mend=f"ls -ld {directory}"
        ) from error


def inherited_listener(env: Mapping[str, str], kept: socket.socket | None = None) -> socket.socket | None:
    """The socket that systemd listens at for this process, sd_listen_fds(3); None where it was started otherwise.

    `kept` is that of this process before it became another version.
    """
    if env.get("LISTEN_PID") != str(os.getpid()) or env.get("LISTEN_FDS") != "1":
        return None
    if kept is not None:
        return kept
    os.set_inheritable(_FIRST_LISTEN_FD, False)
    return socket.socket(fileno=_FIRST_LISTEN_FD)


def _is_socket(path: str) -> bool:
    import stat

    return stat.S_ISSOCK(os.lstat(path).st_mode)


def ensure_socket(paths: Paths, env: Mapping[str, str]) -> str:
    """The path of a socket at which the user's API is served: by the server that is there, or by one that is started
    for it and ends by itself when nobody has asked anything for a while. Raises HostError.
    """
    import subprocess  # a server that listens starts none

    path = socket_path(paths)
    if listener_pid(path):
        return path
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    with open(read_fd, "rb") as told:
        try:
            subprocess.Popen(
                [sys.executable, "-m", "sandbox", "api", "serve", "--idle", _IDLE, "--ready-fd", str(write_fd)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=write_fd, env=dict(env), cwd="/",
                pass_fds=(write_fd,), start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(write_fd)
        first = told.read(len(_READY))
        # another one may have been faster
        if first == _READY or listener_pid(path):
            return path
        words = (first + told.read()).decode(errors="replace").strip()
    raise HostError("cannot start a server of the API", cause=words, mend="sandbox api serve")


def tell_ready(fd: int, log: str) -> None:
    """Tell who started this server that it listens. From then on he reads no errors: they go to the file `log`."""
    with suppress(OSError):
        if os.path.samestat(os.fstat(fd), os.fstat(2)):
            log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.dup2(log_fd, 2)
            os.close(log_fd)
    with suppress(OSError):
        os.write(fd, _READY)
    with suppress(OSError):
        os.close(fd)
