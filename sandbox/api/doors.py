"""Where clients come in, and who may: by a unix socket the user and root, by TCP who has a certificate."""

from __future__ import annotations

import os
import socket
import struct
from typing import TYPE_CHECKING, NamedTuple

import trio

if TYPE_CHECKING:
    import ssl

#: what a connection is carried by
Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

_CREDENTIALS = struct.Struct("3i")
_HANDSHAKE_SECONDS = 10.0


class Door(NamedTuple):
    """One socket that listens: for TLS where it has a context."""

    listener: socket.socket
    tls: ssl.SSLContext | None = None
    #: of a unix socket that this server has made, "" of others: it goes before the server does
    path: str = ""


class NotWelcomeError(Exception):
    """Who has connected may not ask anything."""


async def let_in(connection: trio.socket.SocketType, tls: ssl.SSLContext | None) -> Stream:
    """The stream of a client who may ask. Raises NotWelcomeError; `connection` is the caller's to close then."""
    plain = trio.SocketStream(connection)
    if tls is None:
        if not may_ask(peer_uid(connection)):
            raise NotWelcomeError
        return plain
    # clients close without the goodbye of TLS, as most of HTTP do
    stream = trio.SSLStream(plain, tls, server_side=True, https_compatible=True)
    with trio.move_on_after(_HANDSHAKE_SECONDS):
        try:
            await stream.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise NotWelcomeError from error
        return stream
    raise NotWelcomeError


def peer_uid(connection: trio.socket.SocketType) -> int:
    """The user who has connected, as this process's user namespace knows him."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(found)[1])


def may_ask(uid: int) -> bool:
    """Whether that user may ask: this one, who is root in his containers, and root, who may do anything anyway."""
    return uid in (0, os.geteuid())
