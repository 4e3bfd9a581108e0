"""Published tcp ports: connections accepted on the host, and made anew inside the router's namespace.

    client <-> [accepted socket, host] one process [connected socket, router] <-> container

Each socket is registered once, edge-triggered, and never again: what it can do now is remembered in its `Side`. Bytes
go from one to the other through one buffer that all share, so an idle connection has two descriptors and two small
objects. Where the receiver is slower than the sender nothing is read that cannot be sent: bytes are looked at
(MSG_PEEK), sent, and only what was sent is taken from the sender (MSG_TRUNC). So what waits lies in the kernel's two
socket buffers, and TCP slows the sender down as it would without us. It takes neither the descriptors of a pipe for
splice(2) nor its pages, of which a user has few (fs.pipe-user-pages-soft).

The end of a direction is passed on as such (shutdown), a reset as a reset; a port that nobody listens on resets, where
there is no other target that the connection may be made to.
"""

from __future__ import annotations

import errno
import os
import select
import struct
from _socket import (
    IPPROTO_TCP,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    MSG_PEEK,
    MSG_TRUNC,
    SHUT_WR,
    SO_LINGER,
    SOCK_CLOEXEC,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    socket,
)
from contextlib import suppress

from net.client_address import bind_to_client, bind_to_host_of
from net.named_tuple import NamedTuple
from net.proxy_header import proxy_header

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from net.balance import Balance, Target
    from net.client_address import Address
    from net.ports import PortMapping

    Bind = Callable[[socket, Address], None]

#: large enough that system calls are few, small enough for a processor's cache: 64 and 256 KiB took a fifth longer
BUFFER_BYTES = 131072
#: what one connection may move before the others get their turn
_TURN_BYTES = 1 << 20
#: connections accepted from one port before the others get their turn
_ACCEPTED_AT_ONCE = 64
_EVERYTHING = select.EPOLLIN | select.EPOLLPRI | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
#: after one of these a short read does not mean that nothing is left
_UNUSUAL = select.EPOLLPRI | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_FAILED = select.EPOLLHUP | select.EPOLLERR
_READABLE = select.EPOLLIN | _UNUSUAL
_WRITABLE = select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PEEK = MSG_PEEK | MSG_DONTWAIT
_SEND = MSG_DONTWAIT | MSG_NOSIGNAL
#: the system has nothing more to give
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Attempt(NamedTuple):
    """For whom a connection is being made, and who has refused it."""

    peer: Address
    mapping: PortMapping
    refused: tuple[Target, ...]


class Side(socket):
    """One of the two sockets of a connection, and what was read from it and not sent to the other."""

    __slots__ = (
        "attempt",
        "has_ended",
        "is_connecting",
        "is_pressed",
        "is_readable",
        "is_unusual",
        "is_writable",
        "number",
        "other",
        "rest",
        "spoke",
        "target",
    )

    other: Side | None  # None: closed
    number: int
    rest: bytes
    #: its reader is slower than it: bytes stay in the kernel until they are sent
    is_pressed: bool
    is_readable: bool
    is_writable: bool
    is_unusual: bool
    is_connecting: bool
    has_ended: bool
    #: whether its bytes were the last that passed, since somebody looked
    spoke: bool
    #: of the socket inside: where it leads to; while it connects, what is needed to try another one
    target: Target | None
    attempt: Attempt | None

    def begin(self, *, is_connecting: bool, target: Target | None = None, attempt: Attempt | None = None) -> None:
        self.number = self.fileno()
        self.rest = b""
        self.is_pressed = self.is_readable = self.is_unusual = self.has_ended = False
        # a new connection is not one that has nothing to say
        self.spoke = is_connecting
        self.is_writable = not is_connecting
        self.is_connecting = is_connecting
        self.target, self.attempt = target, attempt


class TcpForwarder:
    """All connections of all published tcp ports; `balance` decides where each leads to.

    At most `most` connections are open at once: more wait in the kernel, and while `is_full` nothing is to be accepted.
    `buffer` has BUFFER_BYTES; what is in it is of no use to anybody afterwards.
    """

    def __init__(self, epoll: select.epoll, balance: Balance, most: int, buffer: bytearray) -> None:
        self.sides: dict[int, Side] = {}
        self._balance = balance
        self.is_full = False
        #: those who had more to move than one turn allows
        self.unfinished: set[Side] = set()
        self._epoll = epoll
        self._most_sides = 2 * most
        #: given up for the second socket of a connection where the system has no more: the first is accepted already
        self._spare = -1
        self._buffer = buffer
        self._view = memoryview(buffer)

    def accept(self, listener: socket, mapping: PortMapping) -> None:
        """Take the connections that wait at `listener`; sets `is_full` where there is no room for more."""
        for _ in range(_ACCEPTED_AT_ONCE):
            if len(self.sides) >= self._most_sides or (self._spare < 0 and not self._take_spare()):
                self.is_full = True
                return
            try:
                number, peer = listener._accept()  # type: ignore[attr-defined]  # typeshed leaves it out
            except OSError as error:  # mostly: no more of them wait
                self.is_full = error.errno in _EXHAUSTED
                return
            self._connect(Side(listener.family, SOCK_STREAM, 0, number), peer, mapping)

    def on_event(self, side: Side, events: int) -> None:
        """What epoll says of a side."""
        other = side.other
        if other is None:
            return
        if side.is_connecting:
            if events & _FAILED:
                if not self._connect_elsewhere(side, other):
                    self._reset(side)
                return
            if not events & select.EPOLLOUT:
                return
            side.is_connecting = False
            side.attempt = None
        if events & select.EPOLLERR and (side.has_ended or not other.is_writable):
            # it had said all; or who would read what it said last does not, or is not connected yet
            self._reset(side)
            return
        if events & _WRITABLE:
            side.is_writable = True
        # the end that was read is told of again with every event
        if events & _READABLE and not side.has_ended:
            side.is_readable = True
            if events & _UNUSUAL:
                side.is_unusual = True
            self.move(side, other)
        if side.is_writable and (other.is_readable or other.rest):
            self.move(other, side)

    def move(self, source: Side, sink: Side) -> None:
        """Move what `source` has to `sink`, as far as both allow and as much as one turn may have."""
        if not sink.is_writable or (source.rest and not self._send_rest(source, sink)):
            return
        left = _TURN_BYTES
        while source.is_readable:
            pressed = source.is_pressed
            try:
                size = source.recv_into(self._buffer, BUFFER_BYTES, _PEEK if pressed else MSG_DONTWAIT)
            except BlockingIOError:
                source.is_readable = False
                return
            except OSError:
                self._reset(source)
                return
            if not size:
                self._end(source, sink)
                return
            source.spoke, sink.spoke = True, False
            try:
                sent = sink.send(self._view[:size] if size < BUFFER_BYTES else self._buffer, _SEND)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._break(source, sink)
                return
            if pressed and sent:
                source.recv_into(self._buffer, sent, MSG_TRUNC | MSG_DONTWAIT)
            if sent < size:
                sink.is_writable = False
                if not pressed:
                    source.rest = bytes(self._view[sent:size])
                    source.is_pressed = True
                return
            if size < BUFFER_BYTES:
                source.is_pressed = False
                # a stream's short read says that it is empty, and the next byte is a new event: epoll(7)
                if not source.is_unusual:
                    source.is_readable = False
                    return
            left -= size
            if left <= 0:
                self.unfinished.add(source)
                return

    def finish(self) -> None:
        """Give those who had more to move another turn."""
        turns, self.unfinished = self.unfinished, set()
        for source in turns:
            if source.other is not None:
                self.move(source, source.other)

    def reset_of(self, target: Target) -> None:
        """End the connections that lead to a target; what it said last, and was not read yet, is lost."""
        for side in tuple(self.sides.values()):
            if side.target is target:
                self._reset(side)

    def quiet_of(self, target: Target) -> list[Side] | None:
        """The connections of a target where nothing has passed since the last look, their side inside; None where one
        waits for its answer, or something has passed.
        """
        quiet: list[Side] | None = []
        for side in self.sides.values():
            if side.target is not target or side.other is None:
                continue
            if side.spoke or side.other.spoke or side.is_connecting:
                side.spoke, quiet = False, None
            elif quiet is not None:
                quiet.append(side)
        return quiet

    def end_quiet(self, sides: list[Side]) -> None:
        """End connections through which nothing passes, as one of their ends would: both read the end of a stream."""
        for side in sides:
            other = side.other
            if other is not None:
                self._forget(side, other)
                side.close()
                other.close()

    def _connect(self, outside: Side, peer: Address, mapping: PortMapping) -> None:
        """Connect to a target for who was accepted as `outside`."""
        outside.begin(is_connecting=False)
        if mapping.proxy_protocol:
            with suppress(OSError):  # gone already
                outside.rest = proxy_header(mapping.proxy_protocol, outside.family, peer, outside.getsockname())
        if not self._lead(outside, Attempt(peer, mapping, ())):
            _close_with_reset(outside)
            return
        self.sides[outside.number] = outside
        try:
            self._epoll.register(outside.number, _EVERYTHING)
        except OSError:
            self._reset(outside)

    def _connect_elsewhere(self, inside: Side, outside: Side) -> bool:
        """Make the connection to another target, where one is left: nothing that the client said was read by now."""
        attempt, target = inside.attempt, inside.target
        if attempt is None or target is None:
            return False
        self._balance.refused(target)
        if not self._lead(outside, attempt._replace(refused=(*attempt.refused, target))):
            return False
        self._balance.leave(target)
        inside.other = None
        del self.sides[inside.number]
        inside.close()
        return True

    def _lead(self, outside: Side, attempt: Attempt) -> bool:
        """Begin a connection for `outside` to the first target that one can be begun to; whether there was any."""
        while (target := self._balance.choose(outside.family, attempt.peer[0], attempt.refused)) is not None:
            try:
                inside = self._begin(outside, target, attempt)
            except OSError:
                attempt = attempt._replace(refused=(*attempt.refused, target))
                continue
            inside.begin(is_connecting=True, target=target, attempt=attempt)
            try:
                self._epoll.register(inside.number, _EVERYTHING)
            except OSError:
                inside.close()
                return False
            outside.other, inside.other = inside, outside
            self.sides[inside.number] = inside
            self._balance.enter(target)
            return True
        return False

    def _begin(self, outside: Side, target: Target, attempt: Attempt) -> Side:
        family, peer, mapping = outside.family, attempt.peer, attempt.mapping
        destination = target.clients.destination(family)
        if destination is None:
            raise OSError(errno.ENETUNREACH, "the container has no address")
        local: Address = peer if peer[0].startswith("127.") else outside.getsockname()
        keeps = not mapping.proxy_protocol and target.clients.is_kept(family, peer, local[0])
        return self._connected(destination, mapping.container_port, peer if keeps else None)

    def _connected(self, destination: tuple[int, str], port: int, client: Address | None) -> Side:
        try:
            return _connected(destination, port, client)
        except OSError as error:
            if error.errno not in _EXHAUSTED or self._spare < 0:
                raise
        os.close(self._spare)
        self._spare = -1
        return _connected(destination, port, client)

    def _take_spare(self) -> bool:
        with suppress(OSError):
            self._spare = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        return self._spare >= 0

    def _send_rest(self, source: Side, sink: Side) -> bool:
        """Send what was left from before; whether all of it went."""
        try:
            sent = sink.send(source.rest, _SEND)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._break(source, sink)
            return False
        source.rest = source.rest[sent:]
        if source.rest:
            sink.is_writable = False
        return not source.rest

    def _end(self, source: Side, sink: Side) -> None:
        """`source` says no more."""
        source.has_ended = True
        source.is_readable = False
        if sink.has_ended:
            self._forget(source, sink)
            source.close()
            sink.close()
            return
        try:
            sink.shutdown(SHUT_WR)
        except OSError:  # gone meanwhile
            self._reset(source)

    def _break(self, source: Side, sink: Side) -> None:
        """`sink` takes no more. What it had said before is for `source` still."""
        try:
            while size := sink.recv_into(self._buffer, BUFFER_BYTES, MSG_DONTWAIT):
                source.send(self._view[:size], _SEND)
        except OSError:
            pass
        self._reset(source)

    def _reset(self, side: Side) -> None:
        """End the connection of `side` with a reset to both ends, one of which knows already."""
        other = side.other
        if other is not None:
            self._forget(side, other)
            _close_with_reset(side)
            _close_with_reset(other)

    def _forget(self, side: Side, other: Side) -> None:
        # a closed socket is none of epoll's any more, epoll(7)
        side.other = other.other = None
        target = side.target or other.target
        if target is not None:
            self._balance.leave(target)
        del self.sides[side.number], self.sides[other.number]
        self.is_full = False


def _connected(destination: tuple[int, str], port: int, client: Address | None, bind: Bind = bind_to_client) -> Side:
    """A socket that connects to the container, by the address of `client` where there is one. Raises OSError."""
    family, address = destination
    inside = Side(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
    try:
        inside.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        if client is not None:
            bind(inside, client)
        with suppress(BlockingIOError):  # it goes on by itself
            inside.connect((address, port))
    except OSError as error:
        inside.close()
        if client is None or bind is bind_to_host_of or error.errno != errno.EADDRNOTAVAIL:
            raise
        # the client's port is that of a connection which is not forgotten yet
        return _connected(destination, port, client, bind_to_host_of)
    return inside


def _close_with_reset(side: Side) -> None:
    with suppress(OSError):  # of a socket that is reset already
        side.setsockopt(SOL_SOCKET, SO_LINGER, _RESET_ON_CLOSE)
    side.close()
