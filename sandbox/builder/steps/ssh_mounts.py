"""`RUN --mount=type=ssh`: a socket in the container that leads to an agent outside.

It is not the agent's own socket: a relay stands between, so that the socket has the owner and mode the mount asks for,
and so that a container may list keys and have something signed, and nothing else (draft-miller-ssh-agent): not add or
remove keys, not lock the agent. Nothing of it is in a layer, in the history or in a cache key.
"""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from sandbox.builder.sources.copy_sources import StepError
from sandbox.runtime import syscalls

if TYPE_CHECKING:
    from contextlib import ExitStack

_FAILURE = b"\0\0\0\1\5"
#: SSH_AGENTC_REQUEST_IDENTITIES, SSH_AGENTC_SIGN_REQUEST
_ALLOWED = (11, 13)
_MESSAGE_MOST = 256 * 1024


def relay_agent(agent: str, place: str, owner: tuple[int, int], mode: int, stack: ExitStack) -> str:
    """The path of a socket in `place` that leads to the socket `agent` until the stack is left. `owner` is its uid and
    gid, `mode` its permission bits. Raises StepError.
    """
    directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # by its descriptor: a socket's path has 107 bytes at most, unix(7)
        listener.bind(f"/proc/self/fd/{directory}/agent")
        os.chown("agent", *owner, dir_fd=directory)
        os.chmod(f"/proc/self/fd/{directory}/agent", mode)
        listener.listen()
        pid = os.fork()
        if pid == 0:
            _serve(listener, agent)
    except OSError as error:
        raise StepError("cannot make the socket of the SSH agent", cause=error.strerror or str(error)) from error
    finally:
        listener.close()
        os.close(directory)
    stack.callback(_end, pid)
    return f"{place}/agent"


def _end(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _serve(listener: socket.socket, agent: str) -> NoReturn:
    """A process for each connection: one of them may wait for a person to confirm a signature."""
    try:
        _die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            client, _address = listener.accept()
            if os.fork() == 0:
                _die_with_parent()
                listener.close()
                with suppress(OSError):
                    _relay(client, agent)
                os._exit(0)
            client.close()
    finally:
        os._exit(1)


def _die_with_parent() -> None:
    syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)


def _relay(client: socket.socket, agent: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as upstream:
        upstream.connect(agent)
        while (message := _read_message(client)) is not None:
            if message[4] not in _ALLOWED:
                client.sendall(_FAILURE)
                continue
            upstream.sendall(message)
            answer = _read_message(upstream)
            if answer is None:
                return
            client.sendall(answer)


def _read_message(peer: socket.socket) -> bytes | None:
    """One message with its length in front; None at the end, and for what is none."""
    head = _read(peer, 4)
    size = int.from_bytes(head, "big") if head else 0
    if not head or not 0 < size <= _MESSAGE_MOST:
        return None
    body = _read(peer, size)
    return head + body if body else None


def _read(peer: socket.socket, size: int) -> bytes | None:
    data = bytearray()
    while len(data) < size:
        piece = peer.recv(size - len(data))
        if not piece:
            return None
        data += piece
    return bytes(data)
