"""The monitor's side of every connection: who sees the container's output, and what they ask for.

Output goes to each client that wants it, through a bounded buffer. While the buffer of one is full the container's
output is not read, so that nothing is lost; but a client that takes nothing for a while is cut off, unless it is the
command that started the container: a pager behind `sandbox run` may wait for as long as a person reads.
"""

from __future__ import annotations

from functools import partial

from sandbox.container.monitor.requests import LATE_VERBS, VERBS, Wishes, join
from sandbox.errors import SandboxError
from sandbox.protocol.frames import (
    LOG_GREW,
    MESSAGE,
    RESIZE,
    STDIN,
    STDIN_END,
    Decoder,
    Frame,
    ProtocolError,
    encode,
    encode_exit,
    encode_message,
)
from sandbox.runtime.reactor import READ, WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from typing import Any

    from sandbox.container.monitor.plan import Attachment
    from sandbox.container.monitor.roles import Desk
    from sandbox.protocol.channel import Channel
    from sandbox.runtime.reactor import Reactor, Timer

_CHUNK = 64 * 1024
_BUFFER_LIMIT = 1024 * 1024
#: how long a full client may take nothing before it is cut off
PATIENCE_SECONDS = 30.0


class Client:
    """One connection. What it wants is set by its messages."""

    def __init__(
        self, server: AttachServer, connection: socket.socket, decoder: Decoder | None = None, *, patient: bool = False
    ) -> None:
        self._server = server
        self._connection = connection
        self._decoder = decoder or Decoder()
        self._outgoing = bytearray()
        self._patient = patient
        self._timer: Timer | None = None
        self._closing = False
        self._reading = True
        self.wishes = Wishes()
        #: it has been read what this client is here for
        self.has_asked = False
        connection.setblocking(False)
        self._watch()

    @property
    def is_full(self) -> bool:
        return len(self._outgoing) >= _BUFFER_LIMIT

    @property
    def is_idle(self) -> bool:
        return not self._outgoing

    def send(self, frame: bytes) -> None:
        if not self._closing:
            self._outgoing += frame
            self._flush()

    def close_when_sent(self) -> None:
        """Take nothing more; the connection ends when everything was sent."""
        self._closing = True
        if not self._outgoing:
            self.close()
        else:
            self._watch()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._server.reactor.forget(self._connection.fileno())
        self._connection.close()
        self._server.dropped(self)

    def handle(self, frame: Frame) -> None:
        """Act on one frame of this client. Raises ProtocolError."""
        desk = self._server.desk
        if frame.kind == STDIN and self.wishes.gives_input:
            self.pause_reading(not desk.take_input(frame.payload))
        elif frame.kind == STDIN_END and self.wishes.gives_input:
            self.wishes.gives_input = False
            desk.end_input(detached=False)
        elif frame.kind == RESIZE:
            desk.resize(*frame.window_size)
        elif frame.kind == MESSAGE:
            self.has_asked = True
            self._server.answer(self, frame.message)

    def pause_reading(self, paused: bool) -> None:
        if self._reading == paused:
            self._reading = not paused
            self._watch()

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & ~WRITE and self._connection.fileno() >= 0:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            if self.wishes.gives_input:
                self.wishes.gives_input = False
                self._server.desk.end_input(detached=False)
            self.close()
            return
        try:
            for frame in self._decoder.feed(data):
                self.handle(frame)
        except ProtocolError:
            self.close()

    def _flush(self) -> None:
        was_full = self.is_full
        before = len(self._outgoing)
        try:
            while self._outgoing:
                del self._outgoing[: self._connection.send(self._outgoing[:_CHUNK])]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()
            self.close()
            return
        if self._closing and not self._outgoing:
            self.close()
            return
        self._keep_patience(progressed=len(self._outgoing) < before)
        self._watch()
        if was_full != self.is_full:
            self._server.fullness_changed()

    def _keep_patience(self, *, progressed: bool) -> None:
        if self._timer is not None and (progressed or not self.is_full):
            self._timer.cancel()
            self._timer = None
        if self.is_full and not self._patient and self._timer is None:
            self._timer = self._server.reactor.after(PATIENCE_SECONDS, self.close)

    def _watch(self) -> None:
        fd = self._connection.fileno()
        if fd >= 0:
            # output stops at the limit; what goes on growing are answers to a client that takes none of them
            listens = self._reading and len(self._outgoing) < 2 * _BUFFER_LIMIT
            events = (READ if listens else 0) | (WRITE if self._outgoing else 0)
            self._server.reactor.watch(fd, events, self._ready)


class AttachServer:
    """All clients of one monitor. `listener` may be None where only handed-over connections are served."""

    def __init__(self, reactor: Reactor, desk: Desk, listener: socket.socket | None) -> None:
        self.reactor = reactor
        self.desk = desk
        self._listeners: list[socket.socket] = []
        self._clients: list[Client] = []
        self._blocked = False
        self._on_empty: Callable[[], None] | None = None
        self._exit_code: int | None = None
        if listener is not None:
            self.listen_at([listener])

    def listen_at(self, listeners: Sequence[socket.socket]) -> None:
        """Listen at these, in place of what was listened at before."""
        if listeners:
            self.stop_listening()
        for listener in listeners:
            listener.setblocking(False)
            self._listeners.append(listener)
            self.reactor.watch(listener.fileno(), READ, partial(self._came, listener))

    def adopt_starter(self, starter: Channel, attachment: Attachment) -> None:
        """Tell the command that starts the container that it runs, and attach it where it wants to be."""
        connection, decoder, early = starter.hand_over()
        client = Client(self, connection, decoder, patient=True)
        self._clients.append(client)
        client.send(encode_message("started"))
        if not attachment.wanted:
            client.close_when_sent()
            return
        # that it was attached is written with the start
        join(client.wishes, attachment._asdict())
        client.send(encode_message("ok"))
        for frame in early:
            client.handle(frame)

    def broadcast(self, kind: int, data: bytes) -> None:
        """Output of the container, to everybody who wants that stream."""
        frame = b""
        for client in list(self._clients):
            if kind in client.wishes.streams:
                frame = frame or encode(kind, data)
                client.send(frame)

    def log_grew(self) -> None:
        """Wake those who follow the log; one that has not taken the last note yet needs no other."""
        for client in list(self._clients):
            if client.wishes.follows_log and client.is_idle:
                client.send(encode(LOG_GREW))

    def ended(self, exit_code: int) -> None:
        """Tell the exit code to those who wait for it or were attached, and let them go."""
        self._tell_exit(exit_code, [client for client in self._clients if client.wishes.waits_for_exit])

    def over(self, exit_code: int) -> None:
        """The last run has ended: those who wait are told, those whose wish has not been read, and from now on
        everybody who comes.
        """
        self._exit_code = exit_code
        told = [client for client in self._clients if client.wishes.waits_for_exit or not client.has_asked]
        self._tell_exit(exit_code, told)

    def _tell_exit(self, exit_code: int, clients: Sequence[Client]) -> None:
        frame = encode_exit(exit_code)
        for client in clients:
            client.send(frame)
            client.close_when_sent()

    def input_taken(self) -> None:
        """The container took input: bring more."""
        for client in list(self._clients):
            client.pause_reading(False)

    def close(self) -> None:
        """Stop listening and let go of every client, after what it still is to get."""
        self.stop_listening()
        for client in list(self._clients):
            client.close_when_sent()

    def stop_listening(self) -> None:
        """Listen no more; who has connected already is served."""
        for listener in self._listeners:
            self.reactor.forget(listener.fileno())
            while self._accept(listener):
                pass
            listener.close()
        self._listeners.clear()

    @property
    def is_empty(self) -> bool:
        """Whether it serves nobody."""
        return not self._clients

    def when_empty(self, act: Callable[[], None]) -> None:
        """Call `act` when the last client has gone; now, where there is none."""
        self._on_empty = act
        if not self._clients:
            act()

    def dropped(self, client: Client) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self.fullness_changed()
            if self._on_empty is not None and not self._clients:
                self._on_empty()

    def fullness_changed(self) -> None:
        blocked = any(client.is_full for client in self._clients)
        if blocked != self._blocked:
            self._blocked = blocked
            self.desk.output_blocked(blocked)

    def answer(self, client: Client, message: dict[str, Any]) -> None:  # Any: JSON
        """Do what a message asks for. Raises ProtocolError on one that makes no sense."""
        verb = VERBS.get(message["type"])
        if verb is None and message["type"] not in LATE_VERBS:
            client.send(encode_message("error", message="unknown message"))
            return
        try:
            if verb is None:
                LATE_VERBS[message["type"]](self.desk, message, partial(self._answered, client))
                return
            verb(client.wishes, self.desk, message)
        except ProtocolError:
            raise
        except SandboxError as error:
            self._answered(client, error)
            return
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ProtocolError(f"a {message['type']} message lacks a field", cause=str(error)) from error
        self._answered(client, None)

    def _answered(self, client: Client, error: Exception | None) -> None:
        if client not in self._clients:
            return  # it has not waited for the answer
        if error is None:
            client.send(encode_message("ok"))
            return
        told = error if isinstance(error, SandboxError) else SandboxError(str(error))
        from sandbox.runtime.reports import encode_error  # rare

        # the report says of what kind it is
        report = encode_error(told).decode(errors="replace")
        client.send(encode_message("error", report=report, message=told.message, cause=told.cause, mend=told.mend))

    def _came(self, listener: socket.socket, _events: int) -> None:
        self._accept(listener)

    def _accept(self, listener: socket.socket) -> bool:
        try:
            connection, _address = listener.accept()
        except OSError:
            return False  # gone again, or out of descriptors: epoll asks again
        client = Client(self, connection)
        self._clients.append(client)
        if self._exit_code is not None:
            client.send(encode_exit(self._exit_code))
            client.close_when_sent()
        return True
