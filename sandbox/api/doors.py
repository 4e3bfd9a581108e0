"""Where clients come in, and who may: by a unix socket the user and root, by TCP who has a certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from sandbox.api.greeting import may_ask, peer_uid

if TYPE_CHECKING:
    import ssl

#: what a connection is carried by
Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

_HANDSHAKE_SECONDS = 10.0


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
