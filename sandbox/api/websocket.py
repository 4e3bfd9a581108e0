"""WebSocket, RFC 6455, the server's side: a stream of bytes, for which it is nothing where messages begin and end.

A client's end of the connection (Close) is the end of its input, as a half-closed connection is elsewhere; nothing can
be sent to it after that.
"""

from __future__ import annotations

import binascii
import struct
from base64 import b64decode, b64encode
from hashlib import sha1
from typing import TYPE_CHECKING, NamedTuple

from sandbox.api.connection import ClientGoneError
from sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.api.connection import Hijacked

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_VERSION = "13"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_DATA = (CONTINUATION, TEXT, BINARY)
_FINAL, _MASKED = 0x80, 0x80
_MOST_OF_CONTROL = 125
_NORMAL, _PROTOCOL_ERROR = 1000, 1002
_CODE = struct.Struct(">H")


class ProtocolError(Exception):
    """What came is no WebSocket's."""


def accept_lines(headers: Mapping[str, str]) -> list[str]:
    """The head of the answer that makes a WebSocket of a connection. Raises ApiError for what asks for none."""
    if headers.get("upgrade", "").lower() != "websocket":
        raise ApiError(400, "not websocket protocol")
    if headers.get("sec-websocket-version") != _VERSION:
        raise ApiError(400, f"missing or bad WebSocket Version: {_VERSION} is spoken")
    key = headers.get("sec-websocket-key", "")
    try:
        is_key = len(b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        is_key = False
    if not is_key:
        raise ApiError(400, "missing or bad Sec-WebSocket-Key")
    accepted = b64encode(sha1((key + _MAGIC).encode(), usedforsecurity=False).digest()).decode()
    return [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accepted}",
    ]


def frame_header(kind: int, size: int) -> bytes:
    """What goes before a frame of a server, which is a message by itself of `size` bytes."""
    first = _FINAL | kind
    if size <= _MOST_OF_CONTROL:
        return bytes((first, size))
    if size <= 0xFFFF:
        return struct.pack(">BBH", first, 126, size)
    return struct.pack(">BBQ", first, 127, size)


class _Head(NamedTuple):
    kind: int
    size: int
    mask: bytes


class Decoder:
    """Takes frames of a client apart, and gives what is in them as it comes: of data a piece, of the rest the whole."""

    def __init__(self) -> None:
        self._pending = b""
        self._head: _Head | None = None
        self._done = 0
        self._is_inside = False

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Kind (BINARY for all data, CLOSE, PING, PONG) and payload, unmasked. Raises ProtocolError."""
        self._pending += data
        while True:
            if self._head is None:
                self._head = self._read_head()
                self._done = 0
                if self._head is None:
                    return
            head = self._head
            left = head.size - self._done
            is_data = head.kind in _DATA
            if len(self._pending) < left and not (is_data and self._pending):
                return
            piece, self._pending = self._pending[:left], self._pending[left:]
            payload = _unmasked(piece, head.mask, self._done)
            self._done += len(piece)
            if self._done == head.size:
                self._head = None
            if not is_data:
                yield head.kind, payload
            elif payload:
                yield BINARY, payload

    def _read_head(self) -> _Head | None:
        pending = self._pending
        if len(pending) < 2:
            return None
        kind, short = pending[0] & 0x0F, pending[1] & 0x7F
        self._check(pending[0], pending[1], short)
        form = {126: ">H", 127: ">Q"}.get(short, "")
        end = 2 + struct.calcsize(form) + 4
        if len(pending) < end:
            return None
        size = struct.unpack(form, pending[2 : end - 4])[0] if form else short
        self._pending = pending[end:]
        if kind in _DATA:
            self._is_inside = not pending[0] & _FINAL
        return _Head(kind, size, pending[end - 4 : end])

    def _check(self, first: int, second: int, short: int) -> None:
        kind = first & 0x0F
        if first & 0x70 or kind not in (*_DATA, CLOSE, PING, PONG):
            raise ProtocolError("a kind of frame that was not agreed on")
        if not second & _MASKED:
            raise ProtocolError("a client's frame is masked")
        if kind in _DATA:
            # the parts of a message follow one another
            if (kind == CONTINUATION) != self._is_inside:
                raise ProtocolError("a part of another message")
        elif not first & _FINAL or short > _MOST_OF_CONTROL:
            raise ProtocolError("a control frame is short, and whole")


def _unmasked(piece: bytes, mask: bytes, offset: int) -> bytes:
    if not piece:
        return b""
    turn = offset % 4
    pattern = (mask[turn:] + mask[:turn]) * (len(piece) // 4 + 1)
    number = int.from_bytes(piece, "big") ^ int.from_bytes(pattern[: len(piece)], "big")
    return number.to_bytes(len(piece), "big")


class WebSocket:
    """A connection that is a WebSocket now, with what `Hijacked` has. `kind` is that of the frames it sends."""

    def __init__(self, stream: Hijacked, kind: int = BINARY) -> None:
        self._stream = stream
        self._kind = kind
        self._decoder = Decoder()
        self._read = bytearray()
        self._has_ended = False
        self._is_closed = False

    async def receive(self) -> bytes:
        """What the client sent; b"" when it will send no more, or broke the rules."""
        while not self._read and not self._has_ended:
            data = await self._stream.receive()
            if not data:
                self._has_ended = True
                break
            try:
                await self._take(data)
            except ProtocolError:
                await self._close(_PROTOCOL_ERROR)
            except ClientGoneError:
                self._has_ended = True
        read = bytes(self._read)
        self._read.clear()
        return read

    async def _take(self, data: bytes) -> None:
        for kind, payload in self._decoder.feed(data):
            if kind == BINARY:
                self._read += payload
            elif kind == PING:
                await self._stream.send(frame_header(PONG, len(payload)), payload)
            elif kind == CLOSE:
                await self._close(_NORMAL)
                return

    async def send(self, *parts: bytes) -> None:
        """Raises ClientGoneError."""
        if self._is_closed:
            raise ClientGoneError
        data = b"".join(parts)
        await self._stream.send(frame_header(self._kind, len(data)), data)

    async def wait_gone(self) -> None:
        """Return when the client has said goodbye, or has just gone."""
        if not self._is_closed:
            await self._stream.wait_gone()

    async def finish(self) -> None:
        """Say that no more comes, and give the client a moment to take the rest."""
        try:
            await self._close(_NORMAL)
        except ClientGoneError:
            return
        await self._stream.finish()

    async def _close(self, code: int) -> None:
        self._has_ended = True
        if not self._is_closed:
            self._is_closed = True
            await self._stream.send(frame_header(CLOSE, _CODE.size), _CODE.pack(code))
