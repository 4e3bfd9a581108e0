"""What a command and a monitor say to each other: frames over a stream socket; bytes in, frames out, no I/O here.

A frame is a kind (one byte), a length (four bytes, big-endian) and that many bytes:

    STDIN         client -> monitor   bytes for the container's standard input
    STDIN_END     client -> monitor   there will be no more input
    RESIZE        client -> monitor   rows and columns of the client's terminal, two bytes each
    STDOUT        monitor -> client   what the container wrote, in the order it was read
    STDERR        monitor -> client   likewise; never from a container with a terminal
    EXIT          monitor -> client   the exit code, four bytes, signed; all output was sent before
    LOG_GREW      monitor -> client   the log has more than when the last of these was sent
    MESSAGE       both ways           a JSON object whose "type" says what it is
    PART          both ways           the beginning of a MESSAGE that is longer than a frame, which follows

Messages of a client: "attach" {stdin, stdout, stderr}, "detach", "wait", "signal" {number}, "stop" {signal, timeout},
"follow". Answers: "ok", "error" {message}. Those of a container's start are in `handshake`.
"""

from __future__ import annotations

import json
import struct

from sandbox.errors import SandboxError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STDIN = 0
STDOUT = 1
STDERR = 2
RESIZE = 3
EXIT = 4
STDIN_END = 5
LOG_GREW = 6
MESSAGE = 7
PART = 8

_HEADER = struct.Struct(">BI")
_RESIZE = struct.Struct(">HH")
_EXIT = struct.Struct(">i")
#: no frame of ours is larger; a peer that says so is not speaking this protocol
MAXIMUM_PAYLOAD = 16 * 1024 * 1024


class ProtocolError(SandboxError):
    """The other side does not speak this protocol."""


class Frame(NamedTuple):
    kind: int
    payload: bytes

    @property
    def message(self) -> dict[str, Any]:  # Any: JSON
        """The payload of a MESSAGE. Raises ProtocolError."""
        try:
            value = json.loads(self.payload)
        except (ValueError, RecursionError) as error:
            raise ProtocolError("a message of the monitor protocol is not JSON", cause=str(error)) from error
        if not isinstance(value, dict) or not isinstance(value.get("type"), str):
            raise ProtocolError("a message of the monitor protocol has no type")
        return value

    @property
    def exit_code(self) -> int:
        code: int = _unpacked(_EXIT, self.payload)[0]
        return code

    @property
    def window_size(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = _unpacked(_RESIZE, self.payload)
        return rows, columns


def encode(kind: int, payload: bytes = b"") -> bytes:
    return _HEADER.pack(kind, len(payload)) + payload


def encode_message(type: str, **fields: object) -> bytes:
    return encode(MESSAGE, json.dumps({"type": type, **fields}, separators=(",", ":")).encode())


def encode_exit(exit_code: int) -> bytes:
    return encode(EXIT, _EXIT.pack(exit_code))


def encode_resize(rows: int, columns: int) -> bytes:
    return encode(RESIZE, _RESIZE.pack(min(rows, 0xFFFF), min(columns, 0xFFFF)))


class Decoder:
    """Frames out of a stream that is cut anywhere."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises ProtocolError on a length no frame has."""
        self._buffer += data
        frames: list[Frame] = []
        position = 0
        while len(self._buffer) - position >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._buffer, position)
            if length > MAXIMUM_PAYLOAD:
                raise ProtocolError(f"a frame of {length} bytes breaks the monitor protocol")
            end = position + _HEADER.size + length
            if end > len(self._buffer):
                break
            frames.append(Frame(kind, bytes(self._buffer[position + _HEADER.size : end])))
            position = end
        del self._buffer[:position]
        return frames

    def take_rest(self) -> bytes:
        """The beginning of a frame that has not come whole."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest


def _unpacked(form: struct.Struct, payload: bytes) -> tuple[Any, ...]:
    try:
        return form.unpack(payload)
    except struct.error as error:
        raise ProtocolError("a frame of the monitor protocol has the wrong size", cause=str(error)) from error
