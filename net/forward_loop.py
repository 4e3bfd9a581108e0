"""The loop of a process that carries published ports: whatever is open, in one epoll.

Who starts such a process binds the listening sockets, and tells it of changes; what it is told is a message of its own
kind, in the class that is made of this one.
"""

from __future__ import annotations

import resource
import select
import time
from _socket import AF_INET, AF_INET6, CMSG_SPACE, MSG_CMSG_CLOEXEC, SOCK_DGRAM, SOCK_STREAM, socket
from array import array

from net.balance import Balance
from net.forward import BUFFER_BYTES, TcpForwarder
from net.forward_udp import UdpForwarder, UdpPort
from net.listeners import FDS_IN_A_MESSAGE, Listener

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from net.ports import PortMapping

    #: host address and port, protocol: `Listener.key`
    Key = tuple[str, int, str]

#: descriptors that connections leave free: epoll, control, and listeners that come later
_SPARE_DESCRIPTORS = 64
_MESSAGE_BYTES = 1 << 16
_EVENTS_AT_ONCE = 512
#: how often silent flows are looked for, and how soon accepting is tried again where the system had no more to give
_LOOK_SECONDS = 10.0
_RETRY_SECONDS = 1.0


class ForwardLoop:
    """Carries what comes to the listeners, which are taken over, to the targets of `balance`, of which there are none
    at first. `limit` is how many descriptors there may be.
    """

    def __init__(self, limit: int, listeners: Sequence[Listener]) -> None:
        self.balance = Balance()
        self.epoll = select.epoll()
        spare = _SPARE_DESCRIPTORS + len(listeners)
        buffer, most = bytearray(BUFFER_BYTES), max(1, (limit - spare) // 2)
        self.tcp = TcpForwarder(self.epoll, self.balance, most, buffer)
        self.udp = UdpForwarder(self.epoll, self.balance, buffer)
        self._tcp_ports: dict[int, tuple[socket, PortMapping]] = {}
        self._udp_ports: dict[int, UdpPort] = {}
        self.accepts = True
        self._looked_at_flows = 0.0
        #: what is called for a descriptor that is readable, before any connection that came after it was
        self.on_message: dict[int, Callable[[], None]] = {}
        for listener in listeners:
            self.add(listener)

    def run(self) -> NoReturn:
        """Go on until one of those called ends the process."""
        tcp, poll = self.tcp, self.epoll.poll
        sides, on_event = tcp.sides, tcp.on_event
        while True:
            others = []
            events = poll(self.patience(), _EVENTS_AT_ONCE)
            if not events:
                self.on_nothing()
            for number, event in events:
                side = sides.get(number)
                if side is not None:
                    on_event(side, event)
                elif number in self.on_message:
                    self.on_message[number]()
                else:
                    others.append(number)
            # after all sides: a new connection has the numbers of those that have ended, and none of their events
            for number in others:
                self._on_other(number)
            if tcp.unfinished:
                tcp.finish()
            if tcp.is_full or not self.accepts:
                self._accept_or_not(retries=not events)
            if self.udp.flows:
                self._look_at_flows()
            self.on_turn()

    def patience(self) -> float:
        """How long nothing may happen, in seconds, before `on_nothing` is called; -1 is for ever."""
        if self.tcp.unfinished:
            return 0
        if not self.accepts:
            return _RETRY_SECONDS
        return _LOOK_SECONDS if self.udp.flows else -1

    def on_nothing(self) -> None:
        """Nothing has happened for as long as `patience` says."""

    def on_turn(self) -> None:
        """All that has happened by now is done."""

    def add(self, listener: Listener) -> None:
        """Carry what comes to it, too."""
        mapping = listener.mapping
        family = AF_INET6 if ":" in mapping.host_ip else AF_INET
        is_tcp = mapping.protocol == "tcp"
        one = socket(family, SOCK_STREAM if is_tcp else SOCK_DGRAM, 0, listener.fd)
        if is_tcp:
            self._tcp_ports[listener.fd] = one, mapping
            self.epoll.register(listener.fd, select.EPOLLIN if self.accepts else 0)
        else:
            self._udp_ports[listener.fd] = UdpPort(one, mapping)
            self.epoll.register(listener.fd, select.EPOLLIN)

    def remove(self, keys: set[Key]) -> None:
        """Close these listeners; connections of theirs go on."""
        for number, (listener, mapping) in tuple(self._tcp_ports.items()):
            if Listener(mapping, number).key in keys:
                del self._tcp_ports[number]
                # who gave it may have it open still, and epoll would go on to tell of it
                self.epoll.unregister(number)
                listener.close()
        for number, port in tuple(self._udp_ports.items()):
            if Listener(port.mapping, number).key in keys:
                del self._udp_ports[number]
                self.epoll.unregister(number)
                self.udp.forget_port(port)
                port.listener.close()

    def map(self, mappings: Sequence[PortMapping]) -> None:
        """Have listeners that are there, told by the host's side of each mapping, lead to other ports inside."""
        wanted = {Listener(one, -1).key: one for one in mappings}
        for number, (listener, mapping) in self._tcp_ports.items():
            self._tcp_ports[number] = listener, wanted.get(Listener(mapping, number).key, mapping)
        for number, port in self._udp_ports.items():
            mapping = wanted.get(Listener(port.mapping, number).key, port.mapping)
            if mapping != port.mapping:
                self.udp.forget_port(port)
                port.mapping = mapping

    def listeners(self) -> tuple[Listener, ...]:
        """Those it has."""
        tcp = (Listener(mapping, number) for number, (_, mapping) in self._tcp_ports.items())
        return (*tcp, *(Listener(one.mapping, number) for number, one in self._udp_ports.items()))

    def mappings(self) -> list[PortMapping]:
        """What is listened on."""
        return [
            *(mapping for _, mapping in self._tcp_ports.values()),
            *(one.mapping for one in self._udp_ports.values()),
        ]

    def _on_other(self, number: int) -> None:
        if number in self._tcp_ports:
            self.tcp.accept(*self._tcp_ports[number])
        elif number in self._udp_ports:
            self.udp.from_host(self._udp_ports[number], time.monotonic())
        elif number in self.udp.flows:
            self.udp.from_container(self.udp.flows[number], time.monotonic())

    def _accept_or_not(self, *, retries: bool) -> None:
        """Look at listening sockets only while there is room: those who wait there would wake us for ever."""
        if retries:
            self.tcp.is_full = False
        if self.accepts == self.tcp.is_full:
            self.accepts = not self.accepts
            for number in self._tcp_ports:
                self.epoll.modify(number, select.EPOLLIN if self.accepts else 0)

    def _look_at_flows(self) -> None:
        now = time.monotonic()
        if now - self._looked_at_flows > _LOOK_SECONDS:
            self._looked_at_flows = now
            self.udp.forget_silent(now)


def raise_limit() -> int:
    """As many descriptors as may be had."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def receive_with_fds(control: socket) -> tuple[bytes, list[int]]:
    """The next packet, empty at the end, with the descriptors beside it, which are the caller's. Raises OSError."""
    data, ancillary, _, _ = control.recvmsg(_MESSAGE_BYTES, CMSG_SPACE(4 * FDS_IN_A_MESSAGE), MSG_CMSG_CLOEXEC)
    fds = array("i")
    for _level, _kind, rights in ancillary:
        fds.frombytes(rights[: len(rights) - len(rights) % 4])
    return data, list(fds)
