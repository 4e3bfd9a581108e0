"""The rtnetlink messages that networks are made of: links, addresses, routes, rules. Pure: values in, messages out."""

from __future__ import annotations

import errno
import struct
from _socket import AF_INET, AF_INET6, inet_pton

from net.netlink import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    attribute,
    nested,
    number,
    text,
)

# <linux/rtnetlink.h>
RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWRULE = 32
RT_TABLE_MAIN = 254
RT_SCOPE_UNIVERSE, RT_SCOPE_HOST = 0, 254
RTN_UNICAST, RTN_LOCAL = 1, 2
RTPROT_BOOT, RTPROT_STATIC = 3, 4
RTA_DST, RTA_OIF, RTA_GATEWAY = 1, 4, 5
# <linux/if_link.h>, <linux/if.h>
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER, IFLA_LINKINFO = 1, 3, 4, 10, 18
IFLA_AF_SPEC, IFLA_GROUP, IFLA_NET_NS_FD = 26, 27, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, IFLA_INFO_SLAVE_KIND, IFLA_INFO_SLAVE_DATA = 1, 2, 4, 5
IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE = 8, 1
IFLA_BRPORT_ISOLATED = 33
VETH_INFO_PEER = 1
IFF_UP = 0x1
# <linux/if_addr.h>
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS = 1, 2, 4, 8
IFA_F_NODAD = 0x02
# <linux/fib_rules.h>
FRA_FWMARK = 10
FR_ACT_TO_TBL = 1

_CREATE = NLM_F_CREATE | NLM_F_EXCL
_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_IPV6_ADDRESS_BYTES = 16


def packed(address: str) -> bytes:
    """The bytes of an IP address of either version."""
    return inet_pton(AF_INET6 if ":" in address else AF_INET, address)


def mac_bytes(mac: str) -> bytes:
    """The bytes of a MAC address."""
    return bytes.fromhex(mac.replace(":", ""))


def new_bridge(name: str, *, mtu: int, mac: str, group: int) -> Message:
    """A bridge. A MAC address that is set stays; one of the bridge's own choice changes with its ports."""
    body = (
        _LINK.pack(0, 0, 0, 0, 0)
        + text(IFLA_IFNAME, name)
        + number(IFLA_MTU, mtu)
        + number(IFLA_GROUP, group)
        + attribute(IFLA_ADDRESS, mac_bytes(mac))
        + nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "bridge"))
    )
    return Message(RTM_NEWLINK, _CREATE, body, f"make the bridge {name}")


def new_veth(
    name: str, index: int, *, mtu: int, bridge: int, peer_name: str, peer_index: int, peer_mac: str, netns_fd: int
) -> Message:
    """A veth pair, both ends down: `name` here, a port of `bridge`, and its peer in the namespace `netns_fd`."""
    peer = (
        _LINK.pack(0, 0, peer_index, 0, 0)
        + text(IFLA_IFNAME, peer_name)
        + number(IFLA_MTU, mtu)
        + attribute(IFLA_ADDRESS, mac_bytes(peer_mac))
        + number(IFLA_NET_NS_FD, netns_fd)
    )
    data = nested(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer))
    body = (
        _LINK.pack(0, 0, index, 0, 0)
        + text(IFLA_IFNAME, name)
        + number(IFLA_MTU, mtu)
        + number(IFLA_MASTER, bridge)
        + nested(IFLA_LINKINFO, text(IFLA_INFO_KIND, "veth"), data)
    )
    return Message(RTM_NEWLINK, _CREATE, body, f"connect {peer_name} to its network")


def without_kernel_addresses(index: int) -> Message:
    """Keep the kernel from giving link `index` an IPv6 address by itself, when it comes up or later."""
    mode = attribute(IFLA_INET6_ADDR_GEN_MODE, bytes((IN6_ADDR_GEN_MODE_NONE,)))
    body = _LINK.pack(0, 0, index, 0, 0) + nested(IFLA_AF_SPEC, nested(AF_INET6, mode))
    # a kernel without IPv6 gives none anyway
    return Message(RTM_SETLINK, 0, body, "keep the link without an IPv6 address", (errno.EAFNOSUPPORT,))


def isolate_port(index: int) -> Message:
    """Keep a bridge's port from all others that are isolated."""
    slave = nested(IFLA_INFO_SLAVE_DATA, attribute(IFLA_BRPORT_ISOLATED, b"\1"))
    body = _LINK.pack(0, 0, index, 0, 0) + nested(IFLA_LINKINFO, text(IFLA_INFO_SLAVE_KIND, "bridge"), slave)
    return Message(RTM_NEWLINK, 0, body, "keep the containers of a network from each other")


def set_up(index: int) -> Message:
    """Link `index` up."""
    return Message(RTM_NEWLINK, 0, _LINK.pack(0, 0, index, IFF_UP, IFF_UP), "bring an interface up")


def delete_link(name: str) -> Message:
    """The link away; no error where it is."""
    body = _LINK.pack(0, 0, 0, 0, 0) + text(IFLA_IFNAME, name)
    return Message(RTM_DELLINK, 0, body, f"remove the interface {name}", (errno.ENODEV,))


def get_link(name: str) -> Message:
    """What there is of the link; answers nothing where there is none."""
    body = _LINK.pack(0, 0, 0, 0, 0) + text(IFLA_IFNAME, name)
    return Message(RTM_GETLINK, 0, body, f"look at the interface {name}", (errno.ENODEV,))


def get_links() -> Message:
    """All links."""
    return Message(RTM_GETLINK, NLM_F_DUMP, _LINK.pack(0, 0, 0, 0, 0), "list the interfaces")


def get_addresses() -> Message:
    """All addresses of all links."""
    return Message(RTM_GETADDR, NLM_F_DUMP, _ADDRESS.pack(0, 0, 0, 0, 0), "list the addresses")


def new_address(index: int, address: str, prefix: int) -> Message:
    """An address of link `index`, usable at once; no error where it has it."""
    value = packed(address)
    is_ipv6 = len(value) == _IPV6_ADDRESS_BYTES
    body = _ADDRESS.pack(AF_INET6 if is_ipv6 else AF_INET, prefix, 0, 0, index) + attribute(IFA_LOCAL, value)
    body += attribute(IFA_ADDRESS, value)
    if is_ipv6:
        # addresses come from one allocator: the second that the kernel takes to look for another owner is saved
        body += number(IFA_FLAGS, IFA_F_NODAD)
    elif prefix < 31:
        host_bits = (1 << (32 - prefix)) - 1
        body += attribute(IFA_BROADCAST, (int.from_bytes(value, "big") | host_bits).to_bytes(4, "big"))
    return Message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, body, f"give an interface the address {address}/{prefix}")


def delete_address(index: int, address: str, prefix: int) -> Message:
    """That address taken from the link; no error where it is not there."""
    value = packed(address)
    family = AF_INET6 if len(value) == _IPV6_ADDRESS_BYTES else AF_INET
    body = _ADDRESS.pack(family, prefix, 0, 0, index) + attribute(IFA_LOCAL, value) + attribute(IFA_ADDRESS, value)
    tolerated = (errno.EADDRNOTAVAIL, errno.ENODEV)
    return Message(RTM_DELADDR, 0, body, f"take the address {address} from an interface", tolerated)


def default_route(index: int, gateway: str) -> Message:
    """The way out: through `gateway`, on link `index`; takes the place of another."""
    flags = NLM_F_CREATE | NLM_F_REPLACE
    return Message(RTM_NEWROUTE, flags, _default_route(index, gateway), f"set the default route through {gateway}")


def delete_default_route(index: int, gateway: str) -> Message:
    """That way out taken away; no error where it is not there."""
    tolerated = (errno.ESRCH, errno.ENODEV)
    return Message(RTM_DELROUTE, 0, _default_route(index, gateway), "remove a default route", tolerated)


def get_routes() -> Message:
    """The routes of all tables, of both IP versions."""
    body = _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0)
    return Message(RTM_GETROUTE, NLM_F_DUMP, body, "list the routes")


def rule_for_mark(family: int, mark: int, table: int) -> Message:
    """Packets with the mark are routed by `table`."""
    body = _ROUTE.pack(family, 0, 0, 0, table, 0, 0, FR_ACT_TO_TBL, 0) + number(FRA_FWMARK, mark)
    return Message(RTM_NEWRULE, _CREATE, body, "route marked packets", (errno.EEXIST,))


def everything_is_local(family: int, index: int, table: int) -> Message:
    """Table `table` says that each address there is, is one of this machine's own, through link `index`."""
    body = _ROUTE.pack(family, 0, 0, 0, table, RTPROT_STATIC, RT_SCOPE_HOST, RTN_LOCAL, 0) + number(RTA_OIF, index)
    return Message(RTM_NEWROUTE, _CREATE, body, "take marked packets in", (errno.EEXIST,))


def _default_route(index: int, gateway: str) -> bytes:
    family = AF_INET6 if ":" in gateway else AF_INET
    header = _ROUTE.pack(family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0)
    return header + attribute(RTA_GATEWAY, packed(gateway)) + number(RTA_OIF, index)
