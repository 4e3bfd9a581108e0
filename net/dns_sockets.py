"""The sockets of the router's port 53, on which containers ask for names; answers come from the address asked."""

from __future__ import annotations

import errno
import struct
from _socket import (
    AF_INET,
    AF_INET6,
    CMSG_SPACE,
    IPPROTO_IP,
    IPPROTO_IPV6,
    IPV6_PKTINFO,
    IPV6_RECVPKTINFO,
    IPV6_V6ONLY,
    SO_RCVBUF,
    SO_REUSEADDR,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    socket,
)

from net.errors import NetError

NAME_PORT = 53
#: <linux/in.h>, which Python 3.11 does not have
IP_PKTINFO = 8
_PKTINFO = struct.Struct("=i4s4s")
_PKTINFO6 = struct.Struct("=16si")
#: octets of control data that say to which of our addresses a question came
ADDRESS_OF_QUESTION = CMSG_SPACE(_PKTINFO6.size)
_BACKLOG = 64
_WAITING_BYTES = 1 << 20


def make_router_sockets(port: int = NAME_PORT) -> list[socket]:
    """Sockets for datagrams and streams on every address of the current network namespace, of IPv6 where it has that.

    They do not block. Raises NetError.
    """
    made: list[socket] = []
    try:
        for family, kind in (
            (AF_INET, SOCK_DGRAM),
            (AF_INET, SOCK_STREAM),
            (AF_INET6, SOCK_DGRAM),
            (AF_INET6, SOCK_STREAM),
        ):
            try:
                made.append(_router_socket(family, kind, port))
            except OSError as error:
                if family == AF_INET or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
    except OSError as error:
        _close_all(made)
        raise NetError("cannot serve names to containers", cause=error.strerror or str(error)) from error
    return made


def reply_ancillary(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """Control data by which an answer comes from the address that was asked, from what came with the question."""
    for level, kind, data in ancillary:
        if level == IPPROTO_IP and kind == IP_PKTINFO and len(data) >= _PKTINFO.size:
            _, local, _ = _PKTINFO.unpack_from(data)
            return [(level, kind, _PKTINFO.pack(0, local, b"\0" * 4))]
        if level == IPPROTO_IPV6 and kind == IPV6_PKTINFO and len(data) >= _PKTINFO6.size:
            return [(level, kind, data)]
    return []


def _router_socket(family: int, kind: int, port: int) -> socket:
    one = socket(family, kind | SOCK_CLOEXEC | SOCK_NONBLOCK)
    try:
        one.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        if family == AF_INET6:
            one.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
        if kind == SOCK_DGRAM:
            # questions of all containers wait here; the kernel makes less of it (net.core.rmem_max)
            one.setsockopt(SOL_SOCKET, SO_RCVBUF, _WAITING_BYTES)
            if family == AF_INET6:
                one.setsockopt(IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
            else:
                one.setsockopt(IPPROTO_IP, IP_PKTINFO, 1)
        one.bind(("::" if family == AF_INET6 else "0.0.0.0", port))
        if kind == SOCK_STREAM:
            one.listen(_BACKLOG)
    except OSError:
        one.close()
        raise
    return one


def _close_all(sockets: list[socket]) -> None:
    for one in sockets:
        one.close()
