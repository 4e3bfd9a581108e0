"""What the host reaches by addresses: the routes of all tables, and the name servers."""

from __future__ import annotations

import struct
from _socket import AF_INET, AF_INET6, if_indextoname, inet_ntop

from net.link_messages import RTA_DST, RTA_OIF, RTN_LOCAL, RTN_UNICAST, get_routes
from net.netlink import attributes, open_rtnetlink
from net.resolver import HOST_FILE, RESOLVED_FILE, read_host_resolver
from net.subnets import Busy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

#: struct rtmsg, <linux/rtnetlink.h>
_ROUTE = struct.Struct("=BBBBBBBBI")


def read_busy(resolv_conf: str = HOST_FILE, resolved_path: str = RESOLVED_FILE) -> Busy:
    """Routes of the network namespace this process is in, of all tables (a VPN has its own), and the name servers.

    Raises NetError.
    """
    routing = open_rtnetlink()
    try:
        bodies = routing.ask(get_routes())
    finally:
        routing.close()
    routes = dict.fromkeys(found for body in bodies for found in _read_route(body))
    return Busy(tuple(routes), read_host_resolver(resolv_conf, resolved_path).servers)


def _read_route(body: bytes) -> Iterator[tuple[str, str]]:
    family, prefix, _source, _tos, _table, _protocol, _scope, kind, _flags = _ROUTE.unpack_from(body)
    found = attributes(body[_ROUTE.size :])
    # what is refused, or sent to all, is no network that somebody is on
    if kind not in (RTN_UNICAST, RTN_LOCAL) or family not in (AF_INET, AF_INET6) or RTA_DST not in found:
        return
    (index,) = struct.unpack("=I", found[RTA_OIF]) if RTA_OIF in found else (0,)
    yield f"{inet_ntop(family, found[RTA_DST])}/{prefix}", _name(index)


def _name(index: int) -> str:
    try:
        return if_indextoname(index) if index else ""
    except OSError:  # gone meanwhile
        return ""
