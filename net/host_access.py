"""Ports of the host's own loopback, let into one container: it reaches them at `host.docker.internal`.

    program in the container ─▶ 127.0.0.12:PORT ─ nftables ─▶ listening socket there ─▶ forwarder ─▶ host's 127.0.0.1

The name leads to an address of the container's loopback, where the sockets are as those of its name server are: on
ports of their own, whatever the container listens on itself. Nobody else's packets come there, on whatever network.
"""

from __future__ import annotations

from _socket import AF_INET, IPPROTO_TCP, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM, inet_aton, socket

from net.client_address import ForwardTarget
from net.errors import NetError
from net.listeners import Listener
from net.name_rules import Lead, lead_ports
from net.ports import PortMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

#: what they are reached by: ours, and Docker's
HOST_NAMES = ("host.sandbox.internal", "host.docker.internal")
#: of the container's loopback
HOST_ADDRESS = "127.0.0.12"
HOST_TARGET = ForwardTarget("127.0.0.1")
_BACKLOG = 128


def begin_host_access(ports: Sequence[int]) -> list[socket]:
    """Listening sockets, one for each port, to which the port of HOST_ADDRESS leads from now on, in the current network
    namespace. They do not block, and keep the namespace for as long as they are open. Raises NetError.

    For a process with power over the namespace, whose loopback is up.
    """
    made: list[socket] = []
    try:
        for _ in ports:
            one = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
            made.append(one)
            one.bind((HOST_ADDRESS, 0))
            one.listen(_BACKLOG)
        leads = [Lead(IPPROTO_TCP, port, one.getsockname()[1]) for port, one in zip(ports, made, strict=True)]
        lead_ports(inet_aton(HOST_ADDRESS), leads)
    except (OSError, NetError) as error:
        for one in made:
            one.close()
        cause = error.cause if isinstance(error, NetError) else error.strerror or str(error)
        raise NetError("cannot let the container reach ports of the host", cause=cause) from error
    return made


def host_listeners(ports: Sequence[int], fds: Sequence[int]) -> tuple[Listener, ...]:
    """The sockets of `begin_host_access` as a forwarder of the host's network namespace takes them, for HOST_TARGET."""
    return tuple(Listener(PortMapping(HOST_ADDRESS, port, port), fd) for port, fd in zip(ports, fds, strict=True))
