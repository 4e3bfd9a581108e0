"""A server whose program was replaced by another version, as an upgrade does, goes on as that: the same process, at the
same doors. Two versions in one process would not fit: most of a server is loaded when it is asked for.
"""

from __future__ import annotations

import os
import socket
import sys
import time

import sandbox

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

#: the process, and the descriptors at which it listened before it became another version
_VARIABLE = "SANDBOX_API_LISTENERS"
#: an installer is at work until nothing has changed for so long
_SETTLED_NS = 10**9


class Program:
    """The files of this program, as they were when it began."""

    def __init__(self) -> None:
        self._before = _stamp()

    def is_replaced(self) -> bool:
        """Whether there is another one in its place, which is whole."""
        now = _stamp()
        if now == self._before or now is None:
            return False
        from sandbox.runtime.kept_code import newest_change_ns

        return newest_change_ns() + _SETTLED_NS < time.time_ns()


def _stamp() -> tuple[int, int, int] | None:
    try:
        status = os.stat(sandbox.__file__)
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino, status.st_ctime_ns


def go_on_anew(listeners: Sequence[socket.socket]) -> NoReturn:
    """Become what is installed now, called as this process was, with these sockets that listen."""
    for listener in listeners:
        listener.set_inheritable(True)
    kept = ",".join(str(listener.fileno()) for listener in listeners)
    words = _without_ready_fd(sys.orig_argv[1:])
    os.execve(sys.executable, [sys.executable, *words], {**os.environ, _VARIABLE: f"{os.getpid()}:{kept}"})


def _without_ready_fd(words: Sequence[str]) -> list[str]:
    """Who started the server was told already."""
    option = "--ready-fd"
    return [
        word
        for before, word in zip(("", *words), words, strict=False)
        if option not in (before, word) and not word.startswith(f"{option}=")
    ]


def kept_listeners(env: Mapping[str, str]) -> list[socket.socket]:
    """The sockets at which this process listened before it became this version, in the order of its doors."""
    pid, _, kept = env.get(_VARIABLE, "").partition(":")
    if pid != str(os.getpid()):
        return []
    fds = [int(fd) for fd in kept.split(",")]
    for fd in fds:
        os.set_inheritable(fd, False)
    return [socket.socket(fileno=fd) for fd in fds]
