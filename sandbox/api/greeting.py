"""The first client of a new server: its first question, which is a ping, is answered before the server is loaded.

Nothing here imports what a server is made of: that takes several times as long as to listen. Clients begin with a ping
nearly all, and ask something that takes its own time then.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from contextlib import contextmanager

from sandbox.named_tuple import NamedTuple
from sandbox.system.versions import API_VERSION
from sandbox.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence

    from trio.socket import SocketType

#: in every answer
ENGINE_HEADERS = (
    ("Api-Version", API_VERSION),
    ("Docker-Experimental", "false"),
    ("Ostype", "linux"),
    ("Server", f"sandbox/{__version__} (linux)"),
)
#: in that to a ping; BuildKit's builder is the one that is preferred
PING_HEADERS = (
    ("Builder-Version", "2"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Pragma", "no-cache"),
)
#: where a server is that none has told to leave the swarm
SWARM_OF_ONE = ("Swarm", "active/manager")
#: what a plain client begins with, and the method of each
_PINGS = {b"GET /_ping HTTP/1.1": b"GET", b"HEAD /_ping HTTP/1.1": b"HEAD"}
#: one that says any of these is answered by the server
_PARTICULAR = frozenset((b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"))
_HEAD_BYTES = 4096
#: who has connected is about to ask
_PATIENCE_SECONDS = 0.5
_CREDENTIALS = struct.Struct("3i")
_ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Door(NamedTuple):
    """One socket that listens: for TLS where it has a context."""

    listener: socket.socket
    tls: ssl.SSLContext | None = None
    #: of a unix socket that this server has made, "" of others: it goes before the server does
    path: str = ""


class Arrival(NamedTuple):
    """A client that has come before the server was there, the server's to close."""

    door: Door
    connection: socket.socket


class Endings:
    """The signals that end a server, from now until it takes them itself."""

    def __init__(self) -> None:
        self.has_come = False
        for number in ends_wanted():
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: object) -> None:
        self.has_come = True

    @contextmanager
    def waking(self) -> Iterator[int]:
        """A descriptor that can be read when another one comes."""
        reading, writing = socket.socketpair()
        with reading, writing:
            writing.setblocking(False)
            signal.set_wakeup_fd(writing.fileno())
            try:
                yield reading.fileno()
            finally:
                signal.set_wakeup_fd(-1)


def ends_wanted() -> list[signal.Signals]:
    """Those that end a server: what the caller ignores (nohup, a shell's background) stays so."""
    return [number for number in _ENDS if signal.getsignal(number) is not signal.SIG_IGN]


def peer_uid(connection: socket.socket | SocketType) -> int:
    """The user who has connected, as this process's user namespace knows him."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(found)[1])


def may_ask(uid: int) -> bool:
    """Whether that user may ask: this one, who is root in his containers, and root, who may do anything anyway."""
    return uid in (0, os.geteuid())


def greet(doors: Sequence[Door], endings: Endings) -> Arrival | None:
    """The first client, where one comes soon, and its ping answered; the server is best loaded after that. None where
    nobody comes, or the server is to end.
    """
    with endings.waking() as woken:
        poller = select.poll()
        poller.register(woken, select.POLLIN)
        by_fd = {door.listener.fileno(): door for door in doors if door.tls is None}
        for fd in by_fd:
            poller.register(fd, select.POLLIN)
        ready = [] if endings.has_come else poller.poll(_PATIENCE_SECONDS * 1000)
        for fd, _events in ready:
            if fd in by_fd and not endings.has_come:
                return _arrival(by_fd[fd])
    return None


def _arrival(door: Door) -> Arrival | None:
    try:
        connection, _address = door.listener.accept()
    except OSError:
        return None
    connection.settimeout(_PATIENCE_SECONDS)
    try:
        if may_ask(peer_uid(connection)):
            _answer_ping(connection)
    except OSError:
        # it is slow, or gone: the server sees that too
        pass
    connection.setblocking(False)
    return Arrival(door, connection)


def _answer_ping(connection: socket.socket) -> None:
    # anything else stays where it is, for the server to read
    data = connection.recv(_HEAD_BYTES, socket.MSG_PEEK)
    method = _plain_ping(data)
    if method is None:
        return
    body = b"OK"
    headers = (
        *ENGINE_HEADERS, *PING_HEADERS, SWARM_OF_ONE, ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
    )  # fmt: skip
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers), "", ""]
    connection.recv(len(data))
    connection.sendall("\r\n".join(lines).encode() + (b"" if method == b"HEAD" else body))


def _plain_ping(data: bytes) -> bytes | None:
    """The method, where `data` is one whole ping and no more. No `re`: it takes a tenth of the time to it."""
    head, _blank, rest = data.partition(b"\r\n\r\n")
    request, *fields = head.split(b"\r\n")
    names = []
    for field in fields:
        name, colon, value = field.partition(b":")
        if not colon or not name.replace(b"-", b"").isalnum() or b"\n" in value or b"\r" in value:
            return None
        names.append(name.lower())
    if rest or not data.endswith(b"\r\n\r\n") or names.count(b"host") != 1 or not _PARTICULAR.isdisjoint(names):
        return None
    return _PINGS.get(request)
