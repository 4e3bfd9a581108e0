"""Two ends of a link in one process, for tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from sandbox.api.buildkit.calls import serve_calls
from sandbox.api.buildkit.link import Link
from sandbox.api.errors import unwrapped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from sandbox.api.buildkit.calls import ServedCall

    Handlers = Mapping[str, Callable[[ServedCall], Awaitable[None]]]

#: generous, for the machine may be busy
DEADLINE_SECONDS = 60


class End:
    """One end of a connection."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def receive(self) -> bytes:
        try:
            return bytes(await self._stream.receive_some(65536))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def send(self, *parts: bytes) -> None:
        await self._stream.send_all(b"".join(parts))

    async def aclose(self) -> None:
        await self._stream.aclose()


def two_ends() -> tuple[End, End]:
    one, other = trio.socket.socketpair()
    return End(trio.SocketStream(one)), End(trio.SocketStream(other))


@asynccontextmanager
async def joined(handlers: Handlers) -> AsyncIterator[Link]:
    """A client's link to a server of those handlers."""
    ours, theirs = two_ends()
    link = Link(ours, is_client=True)
    try:
        with trio.fail_after(DEADLINE_SECONDS), unwrapped():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(serve_calls, Link(theirs, is_client=False), handlers)
                nursery.start_soon(link.run)
                yield link
                nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await ours.aclose()
            await theirs.aclose()
