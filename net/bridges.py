"""The bridges of the router, one for each network: made when first needed, removed when they have no port.

All by an rtnetlink socket of the router's namespace (net.router). A bridge that is up is whole: what a killed process
left half-made is completed by the next that needs it.
"""

from __future__ import annotations

import errno
import os
import struct
import sys

from net.errors import NetError
from net.link_messages import (
    IFA_ADDRESS,
    IFF_UP,
    IFLA_GROUP,
    IFLA_IFNAME,
    IFLA_MASTER,
    delete_link,
    get_addresses,
    get_link,
    get_links,
    new_address,
    new_bridge,
    packed,
    set_up,
    without_kernel_addresses,
)
from net.named_tuple import NamedTuple
from net.netlink import attributes
from net.networks import mac_of, mac_of6
from net.router import BRIDGE_GROUPS, bridge_group

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from net.netlink import Rtnetlink
    from net.networks import BridgeSettings, Subnet

_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")


class _Link(NamedTuple):
    number: int
    is_up: bool
    name: str
    group: int
    master: int


def ensure_bridge(routing: Rtnetlink, settings: BridgeSettings) -> int:
    """The interface index of the network's bridge, which is made where it is not there. Raises NetError.

    A bridge without ports that has an address of the same subnet belongs to a network that is gone: it is removed.
    """
    found = _find_bridge(routing, settings.name)
    if found is None:
        message = new_bridge(settings.name, mtu=settings.mtu, mac=_mac(settings), group=bridge_group(settings))
        # somebody else may make it just now: either completes it
        routing.send(message._replace(tolerated=(errno.EEXIST,)))
        found = _find_bridge(routing, settings.name)
        if found is None:
            raise NetError(f"the bridge {settings.name} went away while it was made", mend="try again")
    if not found.is_up:
        _remove_predecessors(routing, settings)
        messages = [] if settings.subnet6 else [without_kernel_addresses(found.number)]
        for subnet in _subnets(settings):
            messages.append(new_address(found.number, subnet.gateway, subnet.prefix))
        routing.send(*messages, set_up(found.number))
    return found.number


def remove_unused_bridges(routing: Rtnetlink, keep: Collection[str] = ()) -> tuple[str, ...]:
    """Take away all bridges that have no ports, but those in `keep`, and return their names. Raises NetError."""
    unused = tuple(link.name for link in _without_ports(_list_links(routing)) if link.name not in keep)
    routing.send(*(delete_link(name) for name in unused))
    return unused


def _mac(settings: BridgeSettings) -> str:
    if settings.subnet4 is not None:
        return mac_of(settings.subnet4.gateway)
    return mac_of6(settings.subnet6.gateway) if settings.subnet6 is not None else mac_of("0.0.0.1")


def _subnets(settings: BridgeSettings) -> Iterator[Subnet]:
    # a gateway may be "" on an internal network: then the bridge has no address
    for subnet in (settings.subnet4, settings.subnet6):
        if subnet is not None and subnet.gateway:
            yield subnet


def _find_bridge(routing: Rtnetlink, name: str) -> _Link | None:
    for body in routing.ask(get_link(name)):
        return _read_link(body)
    return None


def _list_links(routing: Rtnetlink) -> tuple[_Link, ...]:
    return tuple(_read_link(body) for body in routing.ask(get_links()))


def _read_link(body: bytes) -> _Link:
    _family, _type, index, flags, _change = _LINK.unpack_from(body)
    found = attributes(body[_LINK.size :])
    name = os.fsdecode(found[IFLA_IFNAME].rstrip(b"\0"))
    group, master = (int.from_bytes(found.get(kind, b""), sys.byteorder) for kind in (IFLA_GROUP, IFLA_MASTER))
    return _Link(index, bool(flags & IFF_UP), name, group, master)


def _without_ports(links: tuple[_Link, ...]) -> Iterator[_Link]:
    used = {link.master for link in links}
    return (link for link in links if link.group in BRIDGE_GROUPS and link.number not in used)


def _remove_predecessors(routing: Rtnetlink, settings: BridgeSettings) -> None:
    """With two bridges of one subnet the router would send to either; one of them is of a network that is gone."""
    own = [_bits(packed(subnet.gateway), subnet.prefix) for subnet in _subnets(settings)]
    indexes = set()
    for body in routing.ask(get_addresses()):
        _family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(body)
        other = _bits(attributes(body[_ADDRESS.size :]).get(IFA_ADDRESS, b""), prefix)
        if any(_overlap(one, other) for one in own):
            indexes.add(index)
    if indexes:
        idle = (link for link in _without_ports(_list_links(routing)) if link.name != settings.name)
        routing.send(*(delete_link(link.name) for link in idle if link.number in indexes))


def _bits(address: bytes, prefix: int) -> str:
    """The network part of an address, as digits; those of the two IP versions never begin alike."""
    digits = "".join(f"{byte:08b}" for byte in address)
    return f"{len(address)}:{digits[:prefix]}"


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
