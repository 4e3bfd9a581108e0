"""The host's sockets of published ports, bound and listening: what a forwarder accepts from.

The command binds them, in the host's network and with the rights of its user, so that it can say who has a port that is
taken; the container's monitor keeps them, and hands copies to the forwarder. Connections that come while there is no
forwarder wait in the kernel.
"""

from __future__ import annotations

import errno
import os
from _socket import (
    AF_INET,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPV6_RECVPKTINFO,
    SO_KEEPALIVE,
    SO_OOBINLINE,
    SOL_SOCKET,
    TCP_KEEPIDLE,
    TCP_NODELAY,
)

from net.errors import NetError
from net.host_ports import bind_socket, explained, has_ipv6
from net.named_tuple import NamedTuple
from net.ports import Forward, PortMapping, check_conflicts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from collections.abc import Iterable, Sequence

#: descriptors that go with one message: the kernel takes 253, SCM_MAX_FD
FDS_IN_A_MESSAGE = 200

#: connections that may wait for a forwarder; the kernel makes less of it where net.core.somaxconn is lower
_BACKLOG = 4096
#: how many free ports the kernel is asked for before giving up
_RANDOM_TRIES = 32
_IP_PKTINFO = 8  # <linux/in.h>
#: a client that is gone without a word is asked for after a minute, where TCP's own default is two hours
_KEEPALIVE_SECONDS = 60


class Listener(NamedTuple):
    """A bound socket, non-blocking, which belongs to the holder of this value.

    `mapping` is one address and one port: `host_ip` is never "", `host_port` never 0.
    """

    mapping: PortMapping
    fd: int

    @property
    def key(self) -> tuple[str, int, str]:
        """What tells it from all other sockets of the host."""
        return self.mapping.host_ip, self.mapping.host_port, self.mapping.protocol


def open_listeners(mappings: Sequence[PortMapping]) -> tuple[Listener, ...]:
    """Bind and listen on every mapping, or on none, in order.

    A mapping for every address gets two listeners of one port number, of 0.0.0.0 and [::], as Docker has it; where the
    host has no IPv6, the first alone. Raises PortInUseError, PrivilegedPortError or another NetError.
    """
    check_conflicts(mappings)
    opened: list[Listener] = []
    try:
        for mapping in mappings:
            opened += _open_one(mapping)
    except BaseException:
        close_listeners(opened)
        raise
    return tuple(opened)


def close_listeners(listeners: Iterable[Listener]) -> None:
    """Close their sockets."""
    for listener in listeners:
        os.close(listener.fd)


def _open_one(mapping: PortMapping) -> list[Listener]:
    addresses = [mapping.host_ip] if mapping.host_ip else ["0.0.0.0", "::"] if has_ipv6() else ["0.0.0.0"]
    failure: NetError | None = None
    ports: Iterable[int] = [0] * _RANDOM_TRIES
    if mapping.host_port:
        ports = range(mapping.host_port, (mapping.host_port_end or mapping.host_port) + 1)
    for port in ports:
        bound: list[socket] = []
        forward = Forward(addresses[0], port, mapping.protocol)
        try:
            for address in addresses:
                # of a random port the first socket decides, and the second may find it taken
                number = bound[0].getsockname()[1] if bound else port
                forward = Forward(address, number, mapping.protocol)
                bound.append(_open_socket(forward))
        except OSError as error:
            for one in bound:
                one.close()
            failure = failure or explained(forward, error)
            if error.errno != errno.EADDRINUSE:
                break
            continue
        return [_listener(mapping, one) for one in bound]
    raise failure or NetError(f"no free host port for container port {mapping.container_port}/{mapping.protocol}")


def _open_socket(forward: Forward) -> socket:
    bound = bind_socket(forward, _BACKLOG)
    try:
        bound.setblocking(False)
        if forward.protocol == "tcp":
            # accepted sockets have these options of their listener
            bound.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            bound.setsockopt(SOL_SOCKET, SO_KEEPALIVE, 1)
            bound.setsockopt(IPPROTO_TCP, TCP_KEEPIDLE, _KEEPALIVE_SECONDS)
            # urgent bytes are carried as bytes of the stream, and not lost
            bound.setsockopt(SOL_SOCKET, SO_OOBINLINE, 1)
        elif bound.family == AF_INET:
            bound.setsockopt(IPPROTO_IP, _IP_PKTINFO, 1)
        else:
            bound.setsockopt(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    except BaseException:
        bound.close()
        raise
    return bound


def _listener(mapping: PortMapping, bound: socket) -> Listener:
    address, port = bound.getsockname()[:2]
    return Listener(mapping._replace(host_ip=address, host_port=port, host_port_end=0), bound.detach())
