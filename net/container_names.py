"""127.0.0.11 in a container: the sockets on which it asks for names, and the rules that lead port 53 to them.

The sockets are on ports of their own, for a program in the container may want port 53; nftables leads there what is
sent to 127.0.0.11:53. Who holds the sockets answers, from whatever namespace. Used between fork and exec.
"""

from __future__ import annotations

from _socket import (
    AF_INET,
    IPPROTO_TCP,
    IPPROTO_UDP,
    SOCK_CLOEXEC,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    inet_aton,
    socket,
)

from net.errors import NetError
from net.name_rules import Lead, lead_ports

#: as Docker has it; programs name it in their configuration
CONTAINER_NAME_SERVER = "127.0.0.11"
_NAME_PORT = 53
_BACKLOG = 64


def begin_container_names() -> tuple[socket, socket]:
    """Sockets for datagrams and streams to which 127.0.0.11:53 of the current network namespace leads from now on.

    For a process with power over the namespace, whose loopback is up. The sockets do not block, and keep the namespace
    for as long as they are open. Raises NetError.
    """
    udp, tcp = make_container_sockets()
    try:
        leads = (
            Lead(IPPROTO_UDP, _NAME_PORT, udp.getsockname()[1]),
            Lead(IPPROTO_TCP, _NAME_PORT, tcp.getsockname()[1]),
        )
        lead_ports(inet_aton(CONTAINER_NAME_SERVER), leads)
    except NetError:
        udp.close()
        tcp.close()
        raise
    return udp, tcp


def make_container_sockets() -> tuple[socket, socket]:
    """Sockets for datagrams and streams on 127.0.0.11 in the current network namespace, on free ports of their own.

    They do not block. The loopback must be up. Raises NetError.
    """
    made: list[socket] = []
    try:
        for kind in (SOCK_DGRAM, SOCK_STREAM):
            one = socket(AF_INET, kind | SOCK_CLOEXEC | SOCK_NONBLOCK)
            made.append(one)
            one.bind((CONTAINER_NAME_SERVER, 0))
        made[1].listen(_BACKLOG)
    except OSError as error:
        for one in made:
            one.close()
        raise NetError(
            f"cannot serve names on {CONTAINER_NAME_SERVER} in the container", cause=error.strerror or str(error)
        ) from error
    return made[0], made[1]
