"""Frames over a blocking socket: how a command talks to a monitor, and a monitor to the command that starts it."""

from __future__ import annotations

import os
from collections import deque

from sandbox.protocol.frames import MESSAGE, Decoder, Frame, ProtocolError, encode, encode_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence
    from typing import Any

_CHUNK = 64 * 1024
#: the kernel takes 253, <net/scm.h>
_DESCRIPTORS_IN_A_MESSAGE = 200


class Channel:
    """One end of a connection; owns `connection`. Frames that came early wait in `pending`.

    With `takes_descriptors` those that come with frames are kept for `take_descriptors`; else the kernel closes them.
    """

    def __init__(self, connection: socket.socket, *, takes_descriptors: bool = False) -> None:
        self.connection = connection
        self._takes_descriptors = takes_descriptors
        self._descriptors: list[int] = []
        self.pending: deque[Frame] = deque()
        self._decoder = Decoder()

    def send(self, frame: bytes) -> bool:
        """Send a frame; False where the other side is gone."""
        try:
            self.connection.sendall(frame)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def send_message(self, type: str, **fields: object) -> bool:
        return self.send(encode_message(type, **fields))

    def send_descriptors(self, type: str, descriptors: Sequence[int]) -> bool:
        """Send them with messages of this type, as many as they take; False where the other side is gone."""
        from socket import send_fds  # few have any to send

        frame = encode_message(type)
        for start in range(0, len(descriptors), _DESCRIPTORS_IN_A_MESSAGE):
            try:
                sent = send_fds(self.connection, [frame], descriptors[start : start + _DESCRIPTORS_IN_A_MESSAGE])
            except (BrokenPipeError, ConnectionResetError):
                return False
            if not self.send(frame[sent:]):
                return False
        return True

    def take_descriptors(self) -> list[int]:
        """Those that have come; they are the caller's now."""
        taken, self._descriptors = self._descriptors, []
        return taken

    def receive(self) -> Frame | None:
        """The next frame, waiting for it; None where the other side is gone."""
        while not self.pending:
            if not self.fill():
                return None
        return self.pending.popleft()

    def fill(self) -> bool:
        """Read once what is there, waiting for something, into `pending`; False at the end."""
        try:
            data = self._receive_with_descriptors() if self._takes_descriptors else self.connection.recv(_CHUNK)
        except ConnectionResetError:
            return False
        self.pending.extend(self._decoder.feed(data))
        return bool(data)

    def _receive_with_descriptors(self) -> bytes:
        from socket import recv_fds

        data, descriptors, _flags, _address = recv_fds(self.connection, _CHUNK, _DESCRIPTORS_IN_A_MESSAGE)
        for fd in descriptors:
            os.set_inheritable(fd, False)
        self._descriptors += descriptors
        return data

    def receive_message(self) -> dict[str, Any] | None:  # Any: JSON
        """The next frame, which must be a message; None where the other side is gone. Raises ProtocolError."""
        frame = self.receive()
        if frame is None:
            return None
        if frame.kind != MESSAGE:
            raise ProtocolError(f"a frame of kind {frame.kind} where a message was due")
        return frame.message

    def take_bytes(self) -> bytes:
        """What has come and was not received yet, for whoever goes on with the connection."""
        frames = b"".join(encode(*frame) for frame in self.pending)
        self.pending.clear()
        return frames + self._decoder.take_rest()

    def close(self) -> None:
        self.connection.close()

    def hand_over(self) -> tuple[socket.socket, Decoder, list[Frame]]:
        """The socket, its decoder and the frames not yet taken, for an event loop to go on with."""
        return self.connection, self._decoder, list(self.pending)
