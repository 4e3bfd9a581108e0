"""gRPC over a link: calls answered, and calls made. A message is five bytes of head, and a protocol buffer."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

import trio

from sandbox.api.buildkit.link import mapping_of
from sandbox.api.buildkit.protobuf import decode, encode
from sandbox.api.buildkit.rpc_errors import (
    CANCELLED,
    INTERNAL,
    OK,
    RESOURCE_EXHAUSTED,
    UNAVAILABLE,
    UNIMPLEMENTED,
    UNKNOWN,
    Detail,
    LinkGoneError,
    RpcError,
)
from sandbox.api.buildkit.schema import STATUS
from sandbox.api.errors import leaves
from sandbox.api.faults import report
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    from sandbox.api.buildkit.link import Headers, Link, LinkStream
    from sandbox.api.buildkit.protobuf import Table

#: of one message, as BuildKit's own servers have it
MESSAGE_BYTES = 16 << 20
_HEAD = 5
_LONGEST_TEXT = 4096


class Messages:
    """The messages that come on a stream."""

    def __init__(self, stream: LinkStream) -> None:
        self._stream = stream
        self._buffer = bytearray()

    async def next(self) -> bytes | None:
        """None at the end. Raises RpcError, LinkGoneError."""
        while True:
            if len(self._buffer) >= _HEAD:
                size = int.from_bytes(self._buffer[1:_HEAD], "big")
                if self._buffer[0]:
                    raise RpcError(UNIMPLEMENTED, "grpc: Decompressor is not installed for grpc-encoding")
                if size > MESSAGE_BYTES:
                    raise RpcError(
                        RESOURCE_EXHAUSTED, f"grpc: received message larger than max ({size} vs. {MESSAGE_BYTES})"
                    )
                if len(self._buffer) >= _HEAD + size:
                    message = bytes(self._buffer[_HEAD : _HEAD + size])
                    del self._buffer[: _HEAD + size]
                    return message
            data = await self._stream.receive()
            if not data:
                if self._buffer:
                    raise RpcError(INTERNAL, "unexpected EOF")
                return None
            self._buffer += data


def framed(message: bytes) -> bytes:
    """A message with its head."""
    return b"\0" + len(message).to_bytes(4, "big") + message


class ServedCall:
    """A call that is being answered: `method` is "package.Service/Name"."""

    def __init__(self, stream: LinkStream) -> None:
        self._stream = stream
        self.metadata = mapping_of(stream.headers)
        self.method = self.metadata.get(":path", "").removeprefix("/")
        self._messages = Messages(stream)
        self._begun = False

    async def read(self, table: Table) -> dict[str, Any]:
        """The next message. Raises RpcError where there is none, LinkGoneError."""
        message = await self._messages.next()
        if message is None:
            raise RpcError(INTERNAL, "grpc: the client has sent no message")
        return decode(table, message)

    async def write(self, table: Table, message: Mapping[str, Any]) -> None:
        """Raises LinkGoneError."""
        await self.write_encoded(encode(table, message))

    async def write_encoded(self, message: bytes) -> None:
        """Raises LinkGoneError."""
        await self.begin()
        await self._stream.send(framed(message))

    async def begin(self) -> None:
        """Send what comes before the first message; a client may wait for it."""
        if not self._begun:
            self._begun = True
            await self._stream.send_headers(_RESPONSE)

    async def finish(self, error: RpcError | None = None) -> None:
        """Raises LinkGoneError."""
        trailers = _trailers(error)
        await self._stream.send_headers(trailers if self._begun else (*_RESPONSE, *trailers), end=True)


_RESPONSE = ((":status", "200"), ("content-type", "application/grpc"))
_PLAIN = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


def _trailers(error: RpcError | None) -> Headers:
    if error is None:
        return (("grpc-status", str(OK)),)
    message = error.message[:_LONGEST_TEXT]
    found: Headers = (("grpc-status", str(error.status)), ("grpc-message", quote(message, safe=_PLAIN)))
    if error.details:
        status = encode_status(error, message)
        found = (*found, ("grpc-status-details-bin", base64.b64encode(status).decode().rstrip("=")))
    return found


def encode_status(error: RpcError, message: str | None = None) -> bytes:
    """The error as google.rpc.Status."""
    details = [{"type_url": each.type_url, "value": each.value} for each in error.details]
    return encode(
        STATUS, {"code": error.status, "message": error.message if message is None else message, "details": details}
    )


def error_of_status(status: Mapping[str, Any]) -> RpcError:
    """The error that a google.rpc.Status tells of."""
    details = tuple(Detail(each["type_url"], each["value"]) for each in status["details"])
    return RpcError(status["code"] or UNKNOWN, status["message"], details)


async def serve_calls(link: Link, handlers: Mapping[str, Callable[[ServedCall], Awaitable[None]]]) -> None:
    """Answer what comes on the link to its end; each call in a task of its own, which ends when the client gives up."""
    async with trio.open_nursery() as nursery:
        await link.run(lambda stream: nursery.start_soon(_answer, link, stream, handlers))
        nursery.cancel_scope.cancel()


async def _answer(
    link: Link, stream: LinkStream, handlers: Mapping[str, Callable[[ServedCall], Awaitable[None]]]
) -> None:
    call = ServedCall(stream)
    error: RpcError | None = None
    try:
        with stream.scope:
            try:
                handler = handlers.get(call.method)
                if handler is None:
                    raise RpcError(UNIMPLEMENTED, f"unknown method {call.method}"[:_LONGEST_TEXT])
                await handler(call)
            except Exception as raised:  # noqa: BLE001  # whatever goes wrong is an answer
                error = _as_rpc_error(raised)
            await call.finish(error)
    except LinkGoneError:
        pass
    finally:
        link.forget(stream)


def _as_rpc_error(raised: Exception) -> RpcError:
    found = list(leaves(raised))
    for kind in (LinkGoneError, RpcError, SandboxError):
        for leaf in found:
            if isinstance(leaf, kind):
                if isinstance(leaf, RpcError):
                    return leaf
                if isinstance(leaf, SandboxError):
                    return RpcError(UNKNOWN, leaf.message)
                raise leaf
    for leaf in found:
        report(leaf)
    return RpcError(INTERNAL, "internal error")


class MadeCall:
    """A call of ours."""

    def __init__(self, stream: LinkStream) -> None:
        self._stream = stream
        self._messages = Messages(stream)

    async def send(self, message: bytes) -> None:
        """Raises LinkGoneError."""
        await self._stream.send(framed(message))

    async def send_end(self) -> None:
        """Nothing more comes of us; the other side may have had enough before."""
        with suppress(LinkGoneError):
            await self._stream.send(b"", end=True)

    async def receive(self) -> bytes | None:
        """None where the call has ended well. Raises RpcError as the other side has ended it, LinkGoneError."""
        message = await self._messages.next()
        if message is None:
            _check_trailers(self._stream.trailers or self._stream.headers)
        return message


@asynccontextmanager
async def made_call(link: Link, method: str, metadata: Sequence[tuple[str, str]] = ()) -> AsyncIterator[MadeCall]:
    """A call for the length of the block, given up where the block ends before it. Raises RpcError where the link is
    gone.
    """
    try:
        stream = await link.begin(
            [
                (":method", "POST"), (":scheme", "http"), (":path", f"/{method}"), (":authority", "localhost"),
                ("content-type", "application/grpc"), ("te", "trailers"), *metadata,
            ]
        )  # fmt: skip
        try:
            yield MadeCall(stream)
        except LinkGoneError:
            # a call may be ended before it is done, and then it was said why
            if "grpc-status" in mapping_of(stream.trailers or stream.headers):
                _check_trailers(stream.trailers or stream.headers)
            raise
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await stream.give_up()
    except LinkGoneError as error:
        raise RpcError(UNAVAILABLE, f"the client's session has ended, in {method}") from error


async def ask(link: Link, method: str, tables: tuple[Table, Table], message: Mapping[str, Any]) -> dict[str, Any]:
    """A call of one message each way. Raises RpcError."""
    async with made_call(link, method) as call:
        await call.send(encode(tables[0], message))
        await call.send_end()
        answer = await call.receive()
        if answer is None:
            raise RpcError(INTERNAL, f"no answer to {method}")
        return decode(tables[1], answer)


def _check_trailers(trailers: Headers) -> None:
    found = mapping_of(trailers)
    text = found.get("grpc-status", "")
    code = int(text) if text.isdecimal() and len(text) < 4 else UNKNOWN
    if code == OK:
        return
    if code == CANCELLED and "grpc-message" not in found:
        raise RpcError(code, "context canceled")
    raise RpcError(code, unquote(found.get("grpc-message", "the client's session has broken the call off")))
