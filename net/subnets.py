"""Subnets of networks: chosen from Docker's pools, or as asked for and checked. Pure.

What is refused is told in Docker's words, for scripts read them.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from net.errors import NetError
from net.named_tuple import NamedTuple
from net.networks import Subnet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Network = IPv4Network | IPv6Network
    Address = IPv4Address | IPv6Address

#: slirp4netns' own, on the tap of the router
_SLIRP_SUBNETS = (IPv4Network("10.0.2.0/24"), IPv6Network("fd00::/64"))
#: addresses that no interface of a container can have, or that lead to nobody else, and what they are
_UNUSABLE = (
    (IPv4Network("0.0.0.0/8"), "0.0.0.0/8 stand for this host"),
    (IPv4Network("127.0.0.0/8"), "127.0.0.0/8 are of the loopback"),
    (IPv4Network("224.0.0.0/4"), "224.0.0.0/4 are multicast"),
    (IPv6Network("::/127"), "::/127 stand for this host, or are of the loopback"),
    # Python 3.13 writes it in another way
    (IPv6Network("::ffff:0:0/96"), "::ffff:0:0/96 are IPv4's in the form of IPv6"),
    (IPv6Network("ff00::/8"), "ff00::/8 are multicast"),
)
_LEAVE_OUT = "leave --subnet out: one that is free is found"
_OVERLAPS = "invalid pool request: Pool overlaps with other one on this address space"
#: of a network that has an address for a container beside the gateway's
_SMALLEST_PREFIX = 30
#: the widest route that is a network somebody is on; 0.0.0.0/0 and the halves that a VPN sets are ways out
_WIDEST_PREFIX = 2


class Pool(NamedTuple):
    """Addresses, as "10.10.0.0/16", that networks are given parts of; `prefix` is each part's, `size` to Docker."""

    base: str
    prefix: int


#: Docker's, in its order
DEFAULT_POOLS = (*(Pool(f"172.{second}.0.0/16", 16) for second in range(17, 32)), Pool("192.168.0.0/16", 20))


class Busy(NamedTuple):
    """What the host knows by addresses that a network would hide from its containers."""

    #: (network, interface)
    routes: tuple[tuple[str, str], ...] = ()
    name_servers: tuple[str, ...] = ()


class AskedSubnet(NamedTuple):
    """One `--subnet` with what belongs to it, as typed; "" where it was not given."""

    subnet: str
    gateway: str = ""
    ip_range: str = ""
    auxiliary: tuple[tuple[str, str], ...] = ()


class CheckedSubnet(NamedTuple):
    """A subnet that a network can have; `ip_range` is "" or the part of it that addresses are given from."""

    subnet: Subnet
    ip_range: str = ""


class OverlapError(NetError):
    """Of the addresses that were asked for some are not free; `version` of IP."""

    def __init__(self, network: Network, whose: str) -> None:
        super().__init__(_OVERLAPS, cause=f"{network} overlaps {whose}", mend=_LEAVE_OUT)
        self.version = network.version


def choose_subnet4(taken: Iterable[str], busy: Busy, pools: Sequence[Pool] = DEFAULT_POOLS) -> Subnet:
    """The first part of the pools that neither a network (`taken`) nor the host uses. Raises NetError."""
    used = [ip_network(text) for text in taken]
    for network in (part for pool in pools for part in _parts(pool)):
        if not any(_overlap(network, other) for other in used) and not overlapping(str(network), busy):
            return _with_first_gateway(network)
    raise NetError(
        "all predefined address pools have been fully subnetted",
        cause="networks, and this host's routes, are in all of " + ", ".join(pool.base for pool in pools),
        mend="sandbox network prune, or give a --subnet",
    )


def choose_subnet6(taken: Iterable[str], seed: str) -> Subnet:
    """A unique local /64 (RFC 4193) that no network in `taken` has, the same for the same `seed` while it is free."""
    used = [ip_network(text) for text in taken]
    while True:
        digest = hashlib.sha256(seed.encode()).digest()
        network = IPv6Network((int.from_bytes(b"\xfd" + digest[:7] + bytes(8), "big"), 64))
        if not any(_overlap(network, other) for other in used):
            return _with_first_gateway(network)
        seed += "+"


def check_subnets(asked: Sequence[AskedSubnet], taken: Mapping[str, str]) -> tuple[CheckedSubnet, ...]:
    """What was asked for, with gateways where none was, as a network can have it; `taken` has the subnets of others,
    and their names. Raises OverlapError, another NetError.

    A subnet that the host has a route to is the person's decision, as with Docker: see `overlapping` for a warning.
    """
    refusals = [words for each in asked for words in _refusals(each)]
    if refusals:
        # Docker has a line for each: an error of ours is one, for who reads it line by line
        raise NetError("invalid network config: " + "; ".join(refusals), mend=_mend(asked))
    used = [(ip_network(text), f"{text} of network {name}") for text, name in taken.items()]
    checked = []
    for each in asked:
        network = ip_network(each.subnet)
        words = next((words for other, words in used if _overlap(network, other)), "") or _slirp_overlap(network)
        if words:
            raise OverlapError(network, words)
        used.append((network, f"{network}, which was asked for too"))
        checked.append(_checked(each, network))
    return tuple(checked)


def overlapping(subnet: str, busy: Busy) -> str:
    """What of the host `subnet` would hide from containers, in words; "" for nothing."""
    network = ip_network(subnet)
    if words := _slirp_overlap(network):
        return words
    for route, interface in busy.routes:
        other = ip_network(route, strict=False)
        if other.prefixlen >= _WIDEST_PREFIX and _overlap(network, other):
            return f"the host's route to {route} by {interface}" if interface else f"the host's route to {route}"
    for server in busy.name_servers:
        if _is_in(server, network):
            return f"the host's name server {server}"
    return ""


def check_pool(pool: Pool) -> Pool:
    """`pool` again. Raises NetError where no IPv4 network can be given a part of it."""
    message = f"invalid default address pool {pool.base} of size {pool.prefix}"
    try:
        base = IPv4Network(pool.base)
    except ValueError as error:
        raise NetError(message, cause=str(error), mend="as in base 10.10.0.0/16, size 24") from None
    if not base.prefixlen <= pool.prefix <= _SMALLEST_PREFIX:
        why = f"the size is a prefix, from the base's own {base.prefixlen} to {_SMALLEST_PREFIX}"
        raise NetError(message, cause=why, mend="as in base 10.10.0.0/16, size 24")
    return pool


def _parts(pool: Pool) -> Iterator[IPv4Network]:
    return IPv4Network(pool.base).subnets(new_prefix=pool.prefix)


def _with_first_gateway(network: Network) -> Subnet:
    return Subnet(str(network.network_address), network.prefixlen, str(network.network_address + 1))


def _overlap(one: Network, other: Network) -> bool:
    return one.version == other.version and (
        int(one.network_address) <= int(other.broadcast_address)
        and int(other.network_address) <= int(one.broadcast_address)
    )


def _slirp_overlap(network: Network) -> str:
    for own in _SLIRP_SUBNETS:
        if _overlap(network, own):
            return f"{own}, the way out of all networks, by slirp4netns"
    return ""


def _is_in(address: str, network: Network) -> bool:
    try:
        return ip_address(address.partition("%")[0]) in network
    except ValueError:
        return False


def _reserved(network: Network) -> tuple[Address, ...]:
    if network.num_addresses <= 2:
        return ()
    # IPv6 has no broadcast address; the first is every router's, RFC 4291 §2.6.1
    first = network.network_address
    return (first, network.broadcast_address) if network.version == 4 else (first,)


def _checked(asked: AskedSubnet, network: Network) -> CheckedSubnet:
    gateway = str(ip_address(asked.gateway)) if asked.gateway else str(_first_free(asked, network))
    subnet = Subnet(str(network.network_address), network.prefixlen, gateway)
    return CheckedSubnet(subnet, str(ip_network(asked.ip_range)) if asked.ip_range else "")


def _first_free(asked: AskedSubnet, network: Network) -> Address:
    """Docker's choice of a gateway: the first address of the range, or of the subnet, that nothing else was given."""
    given = {ip_address(address) for _name, address in asked.auxiliary}
    start = ip_network(asked.ip_range) if asked.ip_range else network
    reserved = _reserved(network)
    for offset in range(start.num_addresses):
        address = start.network_address + offset
        if address not in reserved and address not in given:
            return address
    raise NetError(f"invalid network config: no address of {start} is left for a gateway")


def _refusals(asked: AskedSubnet) -> Iterator[str]:
    try:
        network = ip_network(asked.subnet, strict=False)
    except ValueError:
        network = None
    if network is None or "/" not in asked.subnet:
        yield f"invalid subnet {asked.subnet}: invalid CIDR block notation"
        return
    if str(network) != _plain(asked.subnet):
        yield f"invalid subnet {asked.subnet}: it should be {network}"
    for unusable, what in _UNUSABLE:
        if _overlap(network, unusable):
            yield f"invalid subnet {asked.subnet}: the addresses {what}"
    if network.num_addresses < 4:
        yield f"invalid subnet {asked.subnet}: it has no address for a container beside the gateway's"
    yield from _range_refusals(asked.ip_range, network)
    for kind, address in (("gateway", asked.gateway), *((f"auxiliary address {n}:", a) for n, a in asked.auxiliary)):
        if address and (words := _address_refusal(address, network)):
            yield f"invalid {kind} {address}: {words}"


def _mend(asked: Sequence[AskedSubnet]) -> str:
    """What to type in place of the first subnet that is at fault itself; "" where none is."""
    for each in asked:
        if "/" in each.subnet:
            with suppress(ValueError):
                network = ip_network(each.subnet, strict=False)
                if any(_overlap(network, unusable) for unusable, _what in _UNUSABLE):
                    return _LEAVE_OUT
                if str(network) != _plain(each.subnet):
                    return f"--subnet {network}"
    return ""


def _range_refusals(ip_range: str, network: Network) -> Iterator[str]:
    if not ip_range:
        return
    try:
        part = ip_network(ip_range, strict=False)
    except ValueError:
        yield f"invalid ip-range {ip_range}: invalid CIDR block notation"
        return
    if part.version != network.version:
        yield f"invalid ip-range {ip_range}: parent subnet is an IPv{network.version} block"
        return
    if part.prefixlen < network.prefixlen:
        yield f"invalid ip-range {ip_range}: CIDR block is bigger than its parent subnet {network}"
    if str(part) != _plain(ip_range):
        yield f"invalid ip-range {ip_range}: it should be {part}"
    if not _overlap(part, network):
        yield f"invalid ip-range {ip_range}: parent subnet {network} doesn't contain ip-range"


def _address_refusal(address: str, network: Network) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return "invalid address"
    if parsed.version != network.version:
        return f"parent subnet is an IPv{network.version} block"
    if parsed not in network:
        return f"parent subnet {network} doesn't contain this address"
    return "it is the network's own" if parsed in _reserved(network) else ""


def _plain(text: str) -> str:
    """A network's text with its address in the normal form, but for bits beyond the prefix."""
    address, _, prefix = text.partition("/")
    return f"{ip_address(address)}/{prefix}"
