"""One connection to the keeper, of a monitor or of who asks something, in the keeper's trio program."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import trio

from net.keeper_protocol import decode_message, receive_message, send_message

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from net.keeper_protocol import KeeperMember


class Connection:
    """What came through the listening socket. `member` is what was joined with, `serving` ends the answering of its own
    name server's sockets.
    """

    def __init__(self, stream: socket.socket) -> None:
        stream.setblocking(False)
        self._stream = stream
        self.scope = trio.CancelScope()
        self.serving = trio.CancelScope()
        self.member: KeeperMember | None = None

    @property
    def container(self) -> str:
        """The id of who joined, "" before that."""
        return self.member.container if self.member is not None else ""

    def tell(self, document: dict[str, Any], fds: Sequence[int] = ()) -> None:
        """Send at once. Who does not take in what it is sent is let go, and joins again when it runs again."""
        try:
            send_message(self._stream, document, fds)
        except OSError:
            self.scope.cancel()

    async def messages(self) -> AsyncIterator[tuple[dict[str, Any], list[int]]]:
        """Each message with its descriptors, which are the caller's, until the end of the stream.

        Raises ValueError for what is no message.
        """
        while True:
            await trio.lowlevel.wait_readable(self._stream)
            try:
                data, fds = receive_message(self._stream)
            except BlockingIOError:
                continue
            except ConnectionError:
                return
            if not data:
                return
            try:
                document = decode_message(data)
            except ValueError:
                close_all(fds)
                raise
            yield document, fds

    def close(self) -> None:
        """Close it; harmless when called twice."""
        self._stream.close()


def as_sockets(fds: list[int]) -> list[socket.socket]:
    """The sockets that the descriptors are, which they take over; non-blocking. Raises OSError for what is none."""
    sockets: list[socket.socket] = []
    try:
        while fds:
            sockets.append(socket.socket(fileno=fds[0]))
            del fds[0]
            sockets[-1].setblocking(False)
    except BaseException:
        close_all(fds)
        for one in sockets:
            one.close()
        raise
    return sockets


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)
