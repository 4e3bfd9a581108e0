"""The address by which a container sees who comes through a published port.

A client from elsewhere is seen by its own address and port: the forwarder's socket in the router's namespace is bound
to them, though they are none of its own (IP_TRANSPARENT), and rules of the router bring the container's answers to it.
The host itself is seen as the network's gateway, as with Docker: 127.0.0.1 would be the container's own,
CVE-2021-20199.
"""

from __future__ import annotations

from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_IP,
    IPPROTO_IPV6,
    SO_REUSEADDR,
    SOL_SOCKET,
    inet_pton,
    socket,
)

from net.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    #: host, port, and of IPv6 flow and scope
    Address = tuple[str, int] | tuple[str, int, int, int]

# <linux/in.h>, <linux/in6.h>
_TRANSPARENT = {AF_INET: (IPPROTO_IP, 19), AF_INET6: (IPPROTO_IPV6, 75)}
_BIND_ADDRESS_NO_PORT = 24


class ForwardTarget(NamedTuple):
    """Where published ports lead to: the addresses of one endpoint, "" for none.

    `subnets` are those of our own networks, as "172.17.0.0/16": a client from there is seen as the gateway.
    """

    address4: str = ""
    address6: str = ""
    subnets: tuple[str, ...] = ()


class ClientAddresses:
    """The decisions for one target."""

    __slots__ = ("_by_family", "_subnets")

    def __init__(self, target: ForwardTarget) -> None:
        four, six = (AF_INET, target.address4), (AF_INET6, target.address6)
        #: what clients of a family are connected to; a network without IPv6 serves them by IPv4, and the reverse
        self._by_family = {
            AF_INET: four if target.address4 else six if target.address6 else None,
            AF_INET6: six if target.address6 else four if target.address4 else None,
        }
        self._subnets = [_read_subnet(text) for text in target.subnets]

    def destination(self, family: int) -> tuple[int, str] | None:
        """Family and address to connect to for a client of `family`; None where the container has no address now."""
        return self._by_family[family]

    def is_kept(self, family: int, peer: Address, local: str) -> bool:
        """Whether the container may see `peer`, who came to our address `local`, by that address."""
        host = peer[0]
        found = self._by_family[family]
        if found is None or found[0] != family or host == local or host.startswith("127.") or host == "::1":
            return False
        # a link-local address means nothing beyond its own link
        if family == AF_INET6 and (host[:3] in ("fe8", "fe9", "fea", "feb") or "%" in host):
            return False
        number = int.from_bytes(inet_pton(family, host), "big")
        return all(of != family or number & mask != first for of, first, mask in self._subnets)


def bind_to_client(inside: socket, peer: Address) -> None:
    """Have what `inside` sends come from `peer`, by its port too where that is free. Raises OSError."""
    inside.setsockopt(*_TRANSPARENT[inside.family], 1)
    # two published ports may be talked to from one port of the client
    inside.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
    try:
        inside.bind((peer[0], peer[1]))
    except OSError:
        bind_to_host_of(inside, peer)


def bind_to_host_of(inside: socket, peer: Address) -> None:
    """The same by the address of `peer` and any free port. Raises OSError."""
    inside.setsockopt(*_TRANSPARENT[inside.family], 1)
    inside.setsockopt(IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
    inside.bind((peer[0], 0))


def _read_subnet(text: str) -> tuple[int, int, int]:
    address, _, length = text.partition("/")
    family, bits = (AF_INET6, 128) if ":" in address else (AF_INET, 32)
    mask = (1 << bits) - (1 << (bits - int(length)))
    return family, int.from_bytes(inet_pton(family, address), "big") & mask, mask
