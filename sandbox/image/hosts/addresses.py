"""What an IP address leads to: this machine, a private network, the world, or what nobody may send us to."""

from __future__ import annotations

import ipaddress
import re
import socket
from enum import IntEnum
from typing import NamedTuple

#: what inet_aton(3), and so every program that looks a host up, takes for an IPv4 address: 127.1, 0x7f000001
_NUMBERS = re.compile(r"(0[xX][0-9a-fA-F]*|[0-9]+)(\.(0[xX][0-9a-fA-F]*|[0-9]+)){0,3}")
#: RFC 6052 §2.1: an IPv6 address that stands for the IPv4 one in it, as those of RFC 3056 §2 do
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: RFC 6598: between a provider and its customers
_SHARED = ipaddress.IPv4Network("100.64.0.0/10")
#: where clouds hand a machine its credentials, other than at link-local addresses
_CLOUDS = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("100.100.100.200", "fd00:100::100:200"),  # Alibaba
        *("fd00:ec2::/32", "168.63.129.16", "fd20:ce::254"),  # AWS, Azure, Google
        *("192.0.0.192", "fd00:c1::a9fe:a9fe"),  # Oracle
        *("fd00:42::42", "fd00:a9fe:a9fe::1"),  # Scaleway, Akamai
    )
)


class Scope(IntEnum):
    """From how far an address can be reached, nearest first; NOWHERE is what nobody is to be sent to."""

    NOWHERE = 0
    MACHINE = 1
    PRIVATE = 2
    PUBLIC = 3


def scope_of(address: str) -> Scope:
    """The scope of an IPv4 or IPv6 address, which may have a zone. Raises ValueError for what is none."""
    parsed = _meant(address)
    if parsed.is_loopback:
        return Scope.MACHINE
    if _why_nowhere(parsed):
        return Scope.NOWHERE
    if parsed.is_private or (isinstance(parsed, ipaddress.IPv4Address) and parsed in _SHARED):
        return Scope.PRIVATE
    return Scope.PUBLIC


def is_address(host: str) -> bool:
    """Whether a host is written as an address, and not as a name that is looked up."""
    try:
        _meant(host)
    except ValueError:
        return False
    return True


class Refusal(NamedTuple):
    """What an error says where a host is no place to go to."""

    message: str
    cause: str
    mend: str


def refusal(host: str, address: str) -> Refusal | None:
    """The refusal of a host because of `address`, which is its own; None where nothing speaks against it, and for a
    name, which a proxy looks up.
    """
    if not is_address(address) or scope_of(address) != Scope.NOWHERE:
        return None
    parsed = _meant(address)
    found = f"{host} is" if address == host else f"{host} is {address},"
    return Refusal(
        f"refusing to connect to {host}",
        f"{found} {_why_nowhere(parsed)}",
        "127.0.0.1 is this machine" if parsed.is_unspecified else "",
    )


def _meant(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    if _NUMBERS.fullmatch(address):
        try:
            return ipaddress.IPv4Address(socket.inet_aton(address))
        except OSError as error:
            raise ValueError(f"{address} is no address") from error
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed in _NAT64:
            return ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
        return parsed.ipv4_mapped or parsed.sixtofour or parsed
    return parsed


def _why_nowhere(parsed: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if parsed.is_link_local:
        return "a link-local address"
    if parsed.is_unspecified:
        return "the unspecified address"
    if parsed.is_multicast:
        return "a multicast address"
    if any(parsed in network for network in _CLOUDS):
        return "an address of a cloud's own services"
    return "a reserved address" if parsed.is_reserved else ""


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine; names other than localhost are not looked up."""
    host = host.strip("[]").lower()
    if host == "localhost" or host.endswith(".localhost") or host == "::1":
        return True
    parts = host.split(".")
    return len(parts) == 4 and parts[0] == "127" and all(part.isdecimal() and int(part) < 256 for part in parts)
