"""Published udp ports: each client that sends gets a flow, a socket of its own inside the router's namespace.

    client <-> [bound socket, host] one process [flow: connected socket, router] <-> container

A host has several addresses, and an answer must come from the one that was asked: datagrams tell their destination
(IP_PKTINFO), and answers their source by the same means. A flow ends when nothing has come through it for a time.
Where its target takes no more, the next datagram of the client begins another one, and late answers still come.
"""

from __future__ import annotations

import select
import struct
from _socket import (
    AF_INET,
    AF_INET6,
    CMSG_SPACE,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_PKTINFO,
    MSG_DONTWAIT,
    MSG_NOSIGNAL,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    inet_ntop,
    socket,
)
from contextlib import suppress

from net.client_address import bind_to_client, bind_to_host_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from net.balance import Balance, Target
    from net.client_address import Address
    from net.ports import PortMapping

    #: level, type and data of a control message, cmsg(3)
    Ancillary = tuple[int, int, bytes]

#: flows of one port; the one silent for longest is forgotten first
FLOW_LIMIT = 512
#: how long a flow may be silent: a client that is only heard of once, and one that has got answers
SILENT_SECONDS = 60.0
ANSWERED_SECONDS = 180.0
#: datagrams taken from one socket before the others get their turn
_BURST = 64
_IP_PKTINFO = 8  # <linux/in.h>
#: struct in_pktinfo, struct in6_pktinfo: interface, our address; and of IPv4 the destination as it was written
_INFO4 = struct.Struct("=I4s4s")
_INFO6 = struct.Struct("=16sI")
_ANCILLARY_BYTES = CMSG_SPACE(_INFO6.size) + CMSG_SPACE(_INFO4.size)


class Flow(socket):
    """The socket of one client in the router's namespace."""

    __slots__ = ("ancillary", "client", "is_answered", "key", "number", "port", "target", "used")

    port: UdpPort
    key: tuple[Address, bytes]
    client: Address
    #: what makes answers come from the address that was asked
    ancillary: tuple[Ancillary, ...]
    number: int
    used: float
    is_answered: bool
    target: Target


class UdpPort:
    """One bound socket of the host, and its flows, the longest silent first."""

    __slots__ = ("flows", "listener", "mapping")

    def __init__(self, listener: socket, mapping: PortMapping) -> None:
        self.listener = listener
        self.mapping = mapping
        self.flows: dict[tuple[Address, bytes], Flow] = {}


class UdpForwarder:
    """All flows of all published udp ports; `balance` decides where each leads to.

    `buffer` takes the largest datagram there is, of 65,507 bytes.
    """

    def __init__(self, epoll: select.epoll, balance: Balance, buffer: bytearray) -> None:
        self.flows: dict[int, Flow] = {}
        self._balance = balance
        self._epoll = epoll
        self._buffer = buffer
        self._view = memoryview(buffer)

    def from_host(self, port: UdpPort, now_seconds: float) -> None:
        """Hand what waits at the bound socket to the container."""
        listener = port.listener
        for _ in range(_BURST):
            try:
                size, control, _, client = listener.recvmsg_into([self._buffer], _ANCILLARY_BYTES, MSG_DONTWAIT)
            except OSError:  # nothing more; or a client of before that is not reached
                return
            flow = self._flow(port, client, tuple(_answer_control(listener.family, control)))
            if flow is not None:
                flow.used = now_seconds
                # udp may lose a datagram: a full buffer or a port that nobody listens on is no reason to stop
                with suppress(OSError):
                    flow.send(self._view[:size], MSG_DONTWAIT | MSG_NOSIGNAL)

    def from_container(self, flow: Flow, now_seconds: float) -> None:
        """Hand what waits at the flow to its client."""
        listener = flow.port.listener
        for _ in range(_BURST):
            try:
                size = flow.recv_into(self._buffer, 0, MSG_DONTWAIT)
            except OSError:  # nothing more; or nobody listens inside
                return
            flow.used = now_seconds
            flow.is_answered = True
            with suppress(OSError):
                listener.sendmsg([self._view[:size]], flow.ancillary, MSG_DONTWAIT, flow.client)

    def forget_silent(self, now_seconds: float) -> None:
        """End the flows that nothing comes through any more."""
        for flow in tuple(self.flows.values()):
            silent = now_seconds - flow.used
            if silent > (ANSWERED_SECONDS if flow.is_answered else SILENT_SECONDS):
                self._forget(flow)

    def turn_away(self, target: Target) -> None:
        """Have what clients of `target` send next go elsewhere."""
        for flow in self.flows.values():
            if flow.target is target and flow.port.flows.get(flow.key) is flow:
                del flow.port.flows[flow.key]

    def forget_target(self, target: Target) -> None:
        """End the flows that lead to it."""
        for flow in tuple(self.flows.values()):
            if flow.target is target:
                self._forget(flow)

    def forget_port(self, port: UdpPort) -> None:
        """End the flows of a port."""
        for flow in tuple(self.flows.values()):
            if flow.port is port:
                self._forget(flow)

    def _flow(self, port: UdpPort, client: Address, ancillary: tuple[Ancillary, ...]) -> Flow | None:
        key = (client, ancillary[0][2] if ancillary else b"")
        flow = port.flows.pop(key, None)
        if flow is None:
            if len(port.flows) >= FLOW_LIMIT:
                self._forget(next(iter(port.flows.values())))
            flow = self._new_flow(port, client, ancillary)
            if flow is None:
                return None
            flow.key = key
        # at the end: heard of last
        port.flows[key] = flow
        return flow

    def _new_flow(self, port: UdpPort, client: Address, ancillary: tuple[Ancillary, ...]) -> Flow | None:
        family = port.listener.family
        target = self._balance.choose(family, client[0])
        destination = target.clients.destination(family) if target is not None else None
        if target is None or destination is None:
            return None
        try:
            flow = Flow(destination[0], SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
        except OSError:
            return None
        try:
            if target.clients.is_kept(family, client, _local_address(family, ancillary)):
                # of two flows from one port of a client, to two of our addresses, answers could not be told apart
                is_taken = any(other.client[:2] == client[:2] for other in port.flows.values())
                (bind_to_host_of if is_taken else bind_to_client)(flow, client)
            flow.connect((destination[1], port.mapping.container_port))
            flow.number = flow.fileno()
            self._epoll.register(flow.number, select.EPOLLIN)
        except OSError:
            flow.close()
            return None
        flow.port, flow.client, flow.ancillary, flow.is_answered = port, client, ancillary, False
        flow.target = target
        self._balance.enter(target)
        self.flows[flow.number] = flow
        return flow

    def _forget(self, flow: Flow) -> None:
        del self.flows[flow.number]
        if flow.port.flows.get(flow.key) is flow:
            del flow.port.flows[flow.key]
        self._balance.leave(flow.target)
        flow.close()


def _answer_control(family: int, control: list[Ancillary]) -> list[Ancillary]:
    """What sends an answer from the address that was asked."""
    for level, kind, data in control:
        if (family, level, kind) == (AF_INET, IPPROTO_IP, _IP_PKTINFO):
            _, ours, _ = _INFO4.unpack(data[: _INFO4.size])
            return [(IPPROTO_IP, _IP_PKTINFO, _INFO4.pack(0, ours, b"\0\0\0\0"))]
        if (family, level, kind) == (AF_INET6, IPPROTO_IPV6, IPV6_PKTINFO):
            ours, interface = _INFO6.unpack(data[: _INFO6.size])
            # an interface belongs to an address of its link alone; for others the way back may be another one
            is_of_link = ours[0] == 0xFE and ours[1] & 0xC0 == 0x80
            return [(IPPROTO_IPV6, IPV6_PKTINFO, _INFO6.pack(ours, interface if is_of_link else 0))]
    return []


def _local_address(family: int, ancillary: tuple[Ancillary, ...]) -> str:
    if not ancillary:
        return ""
    data = ancillary[0][2]
    return inet_ntop(family, data[4:8] if family == AF_INET else data[:16])
