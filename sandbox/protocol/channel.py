"""Frames over a blocking socket: how a command talks to a monitor, and a monitor to the command that starts it."""

from __future__ import annotations

from collections import deque

from sandbox.protocol.frames import MESSAGE, Decoder, Frame, ProtocolError, encode_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

_CHUNK = 64 * 1024


class Channel:
    """One end of a connection; owns `connection`. Frames that came early wait in `pending`."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
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

    def receive(self) -> Frame | None:
        """The next frame, waiting for it; None where the other side is gone."""
        while not self.pending:
            if not self.fill():
                return None
        return self.pending.popleft()

    def fill(self) -> bool:
        """Read once what is there, waiting for something, into `pending`; False at the end."""
        try:
            data = self.connection.recv(_CHUNK)
        except ConnectionResetError:
            return False
        self.pending.extend(self._decoder.feed(data))
        return bool(data)

    def receive_message(self) -> dict[str, Any] | None:  # Any: JSON
        """The next frame, which must be a message; None where the other side is gone. Raises ProtocolError."""
        frame = self.receive()
        if frame is None:
            return None
        if frame.kind != MESSAGE:
            raise ProtocolError(f"a frame of kind {frame.kind} where a message was due")
        return frame.message

    def close(self) -> None:
        self.connection.close()

    def hand_over(self) -> tuple[socket.socket, Decoder, list[Frame]]:
        """The socket, its decoder and the frames not yet taken, for an event loop to go on with."""
        return self.connection, self._decoder, list(self.pending)
