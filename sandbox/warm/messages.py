"""What an owner and a worker say to each other: messages of any length in frames, with descriptors.

    request      owner -> worker   {operation, arguments, named, environment, directory}: values as `values` has them
    progress     worker -> owner   {value}, as often as the operation tells something
    result       worker -> owner   {value}
    error        worker -> owner   {error}

A message that is longer than a frame goes as several PARTs before the MESSAGE. Descriptors go with the first byte of a
request or a result, whose `descriptors` says how many they are.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections import deque

from sandbox.errors import HostError
from sandbox.protocol.frames import MAXIMUM_PAYLOAD, MESSAGE, PART, Decoder, Frame, ProtocolError, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

#: SCM_MAX_FD of the kernel: so many descriptors go with one message, unix(7)
DESCRIPTORS_MAX = 253
#: for recvmsg(2): data, and room for descriptors
CHUNK_BYTES = 64 * 1024
ANCILLARY_BYTES = socket.CMSG_SPACE(DESCRIPTORS_MAX * 4)
RECEIVE_FLAGS = socket.MSG_CMSG_CLOEXEC


def encode_long_message(type: str, **fields: object) -> Iterator[bytes]:
    """The frames of a message of any length."""
    text = memoryview(json.dumps({"type": type, **fields}, separators=(",", ":")).encode())
    while len(text) > MAXIMUM_PAYLOAD:
        yield encode(PART, bytes(text[:MAXIMUM_PAYLOAD]))
        text = text[MAXIMUM_PAYLOAD:]
    yield encode(MESSAGE, bytes(text))


def descriptors_in(ancillary: Iterable[tuple[int, int, bytes]]) -> list[int]:
    """The descriptors that recvmsg(2) brought."""
    return [
        number
        for level, kind, data in ancillary
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS)
        for number in memoryview(data[: len(data) // 4 * 4]).cast("i")
    ]


def ancillary_of(descriptors: Sequence[int]) -> list[tuple[int, int, bytes]]:
    """The descriptors for sendmsg(2)."""
    if not descriptors:
        return []
    return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(descriptors)}i", *descriptors))]


class Assembly:
    """Messages out of a stream that is cut anywhere, and the descriptors that came with it."""

    def __init__(self) -> None:
        self._decoder = Decoder()
        self._parts: list[bytes] = []
        self._descriptors: list[int] = []

    def feed(self, data: bytes, ancillary: Iterable[tuple[int, int, bytes]] = ()) -> Iterator[dict[str, Any]]:
        """The messages that `data` completes. Raises ProtocolError."""
        self._descriptors += descriptors_in(ancillary)
        for frame in self._decoder.feed(data):
            if frame.kind == PART:
                self._parts.append(frame.payload)
            elif frame.kind == MESSAGE:
                whole = Frame(MESSAGE, b"".join([*self._parts, frame.payload])) if self._parts else frame
                self._parts.clear()
                yield whole.message
            else:
                raise ProtocolError(f"a frame of kind {frame.kind} where a message was due")

    def take_descriptors(self, count: int) -> list[int]:
        """The `count` descriptors that came with a message; the caller's from now on. Raises HostError."""
        taken, self._descriptors = self._descriptors, []
        if len(taken) != count:
            for number in taken:
                os.close(number)
            raise HostError(
                "the descriptors of a call did not arrive", cause="too many files are open", mend="ulimit -Sn hard"
            )
        return taken

    def close(self) -> None:
        """Close descriptors that nobody has taken."""
        for number in self._descriptors:
            os.close(number)
        self._descriptors.clear()


class Wire:
    """One end of the stream between owner and worker, blocking; owns `connection`."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._assembly = Assembly()
        self._pending: deque[dict[str, Any]] = deque()
        self._is_cut = False

    def send(self, frames: Iterable[bytes], descriptors: Sequence[int] = ()) -> bool:
        """Send the frames of one message; False where the other side is gone, or a message before was cut short."""
        if self._is_cut:
            return False
        self._is_cut = True
        try:
            for frame in frames:
                # whoever called us may have the default for SIGPIPE
                sent = self.connection.sendmsg([frame], ancillary_of(descriptors), socket.MSG_NOSIGNAL)
                descriptors = ()
                if sent < len(frame):
                    self.connection.sendall(memoryview(frame)[sent:], socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError):
            return False
        # an exception (the KeyboardInterrupt of a cancel) leaves a part of it behind, after which nothing can be read
        self._is_cut = False
        return True

    def receive(self) -> dict[str, Any] | None:
        """The next message, waiting for it; None where the other side is gone. Raises ProtocolError."""
        while not self._pending:
            try:
                data, ancillary, _flags, _address = self.connection.recvmsg(CHUNK_BYTES, ANCILLARY_BYTES, RECEIVE_FLAGS)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._pending.extend(self._assembly.feed(data, ancillary))
        return self._pending.popleft()

    def take_descriptors(self, count: int) -> list[int]:
        """See Assembly."""
        return self._assembly.take_descriptors(count)

    def close(self) -> None:
        self._assembly.close()
        self.connection.close()
