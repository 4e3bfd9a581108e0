"""HTTP on one connection, by h11: requests in order, bodies as they come, streams that end when the client goes, and
connections that become raw streams (Docker's "hijack").
"""

from __future__ import annotations

import select
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING

import h11
import msgspec
import trio

from sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from sandbox.api.doors import Stream

_CHUNK = 64 * 1024
#: request line and headers together
HEAD_BYTES = 64 * 1024
#: of a body that is read whole
BODY_BYTES = 4 << 20
#: a connection on which nobody asks anything
IDLE_SECONDS = 300.0
#: of a body that nobody reads so much is passed over to keep the connection
_REST_BYTES = 1 << 20
#: what a client may send before the answer to what it has asked
_EARLY_BYTES = 64 * 1024
_GOODBYE_SECONDS = 1.0

Headers = list[tuple[str, str]]


class ClientGoneError(Exception):
    """The client has closed the connection, or broken the protocol."""


class Hijacked:
    """A connection that is a stream of bytes now."""

    def __init__(self, stream: Stream, early: bytes) -> None:
        self._stream = stream
        self._early = early
        #: two outputs go by one stream
        self._sending = trio.Lock()

    async def receive(self) -> bytes:
        """What the client sent; b"" when it will send no more."""
        if self._early:
            early, self._early = self._early, b""
            return early
        try:
            return bytes(await self._stream.receive_some(_CHUNK))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return b""

    async def send(self, *parts: bytes) -> None:
        """Raises ClientGoneError."""
        try:
            async with self._sending:
                await self._stream.send_all(b"".join(parts))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ClientGoneError from error

    async def wait_gone(self) -> None:
        """Return when the client has closed both ways; who has ended its input alone still takes output. By TCP that
        is known when something is sent.
        """
        if isinstance(self._stream, trio.SSLStream):
            await trio.sleep_forever()
        else:
            with select.epoll() as both_ways:
                both_ways.register(self._stream.socket.fileno(), 0)
                await trio.lowlevel.wait_readable(both_ways.fileno())

    async def finish(self) -> None:
        """Say that no more comes, and give the client a moment to take the rest."""
        with trio.move_on_after(_GOODBYE_SECONDS):
            try:
                if isinstance(self._stream, trio.SSLStream):
                    # TLS has no half of a connection: its goodbye is said, and the client's waited for
                    async with self._sending:
                        await self._stream.unwrap()
                else:
                    async with self._sending:
                        await self._stream.send_eof()
                    while await self._stream.receive_some(_CHUNK):
                        pass
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass


class Connection:
    """One client. Owns `stream`."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES)
        self._early = b""
        self._is_head = False
        self.is_hijacked = False

    async def next_request(self, seconds: float) -> h11.Request | None:
        """None where the client asks nothing for so long. Raises ApiError for what is no request, ClientGoneError."""
        with trio.move_on_after(seconds):
            event = await self._next_event()
            if isinstance(event, h11.Request):
                self._is_head = event.method == b"HEAD"
                return event
            raise ClientGoneError
        return None

    async def body(self) -> AsyncIterator[bytes]:
        """The request's body in pieces. Raises ClientGoneError, ApiError."""
        while True:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                return
            else:
                raise ClientGoneError

    async def read_body(self, limit: int = BODY_BYTES) -> bytes:
        """All of it. Raises ApiError for one that is too long."""
        parts, size = [], 0
        with trio.move_on_after(IDLE_SECONDS):
            async for part in self.body():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise ApiError(400, "http: request body too large")
            return b"".join(parts)
        raise ApiError(408, "the request's body does not come")

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """A whole answer. Raises ClientGoneError."""
        self._refuse_answered()
        headers = [*headers, ("Content-Length", str(len(body)))] if status not in (204, 304) else headers
        await self._send(h11.Response(status_code=status, headers=_encoded(headers), reason=_reason(status)))
        if body and not self._is_head:
            await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())

    async def refuse(self, status: int, message: str) -> None:
        """Answer what is no request; the connection is of no use then."""
        if not self.has_answered:
            body = msgspec.json.encode({"message": message})
            await self.answer(status, [("Content-Type", "application/json"), ("Connection", "close")], body)

    @property
    def has_answered(self) -> bool:
        """Whether an answer has begun."""
        return self.is_hijacked or self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE)

    @asynccontextmanager
    async def streaming(self, status: int, headers: Headers, *, reads_body: bool = False) -> AsyncIterator[Connection]:
        """An answer in pieces, sent with `write`; the head goes at once. The block is cancelled when the client goes,
        which raises ClientGoneError. With `reads_body` the block may still read the request's.
        """
        self._refuse_answered()
        if not reads_body:
            await self._pass_over()
        await self._send(h11.Response(status_code=status, headers=_encoded(headers), reason=_reason(status)))
        gone = False

        async def watch(scope: trio.CancelScope) -> None:
            nonlocal gone
            while len(self._early) < _EARLY_BYTES:
                try:
                    data = bytes(await self._stream.receive_some(_CHUNK))
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    data = b""
                if not data:
                    gone = True
                    scope.cancel()
                    return
                self._early += data

        async with trio.open_nursery() as nursery:
            if not reads_body:
                nursery.start_soon(watch, nursery.cancel_scope)
            yield self
            nursery.cancel_scope.cancel()
        if gone:
            raise ClientGoneError
        await self._send(h11.EndOfMessage())

    async def write(self, data: bytes) -> None:
        """A piece of a streamed answer. Raises ClientGoneError."""
        if data:
            await self._send(h11.Data(data=data))

    async def hijack(self, lines: Sequence[str]) -> Hijacked:
        """Make a raw stream of the connection; `lines` are the head of the answer. Raises ClientGoneError."""
        self._refuse_answered()
        await self._pass_over()
        trailing, _closed = self._h11.trailing_data
        stream = Hijacked(self._stream, bytes(trailing))
        self.is_hijacked = True
        await stream.send("\r\n".join([*lines, "", ""]).encode())
        return stream

    async def next_cycle(self) -> bool:
        """Make ready for the next request; False where there can be none."""
        if self.is_hijacked:
            return False
        try:
            await self._pass_over()
        except (ClientGoneError, ApiError):
            return False
        if self._h11.our_state is not h11.DONE:
            return False
        if self._h11.their_state is not h11.DONE:
            return False
        self._h11.start_next_cycle()
        return True

    async def aclose(self) -> None:
        with trio.move_on_after(_GOODBYE_SECONDS, shield=True):
            await self._stream.aclose()

    def _refuse_answered(self) -> None:
        assert not self.has_answered, "a request is answered once"

    async def _pass_over(self) -> None:
        """Read what is left of a body that nobody has read."""
        size = 0
        while self._h11.their_state is h11.SEND_BODY:
            event = await self._next_event()
            if isinstance(event, h11.Data):
                size += len(event.data)
                if size > _REST_BYTES:
                    raise ClientGoneError
            elif not isinstance(event, h11.EndOfMessage):
                raise ClientGoneError

    async def _next_event(self) -> object:
        try:
            while True:
                event = self._h11.next_event()
                if event is not h11.NEED_DATA:
                    return event
                if self._h11.they_are_waiting_for_100_continue:
                    await self._send(h11.InformationalResponse(status_code=100, headers=[]))
                self._h11.receive_data(await self._receive())
        except h11.RemoteProtocolError as error:
            # the rest shows what came, as Python writes it
            message = str(error).partition(": bytearray(")[0]
            raise ApiError(error.error_status_hint, message) from error

    async def _receive(self) -> bytes:
        if self._early:
            early, self._early = self._early, b""
            return early
        try:
            return bytes(await self._stream.receive_some(_CHUNK))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ClientGoneError from error

    async def _send(self, event: h11.Event) -> None:
        try:
            data = self._h11.send(event)
            if data:
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ClientGoneError from error


def _reason(status: int) -> bytes:
    """As a person reads it, and scripts that look at the first line."""
    return HTTPStatus(status).phrase.encode("ascii")


def _encoded(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("ascii"), value.encode("latin-1", "replace")) for name, value in headers]
