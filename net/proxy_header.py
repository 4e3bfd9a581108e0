"""The header of the PROXY protocol, versions 1 and 2: the first bytes of a connection, which say who the client is."""

from __future__ import annotations

import struct
from _socket import AF_INET, AF_INET6, inet_pton

TYPE_CHECKING = False
if TYPE_CHECKING:
    from net.client_address import Address

_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_PROXY_COMMAND = 0x21
_STREAMS = {AF_INET: (0x11, b"TCP4"), AF_INET6: (0x21, b"TCP6")}


def proxy_header(version: int, family: int, peer: Address, local: Address) -> bytes:
    """The header for a tcp connection of `peer` to our address `local`."""
    kind, word = _STREAMS[family]
    hosts = peer[0].partition("%")[0], local[0].partition("%")[0]
    if version == 1:
        return b"PROXY %b %b %b %d %d\r\n" % (word, hosts[0].encode(), hosts[1].encode(), peer[1], local[1])
    addresses = b"".join(inet_pton(family, host) for host in hosts) + struct.pack("!HH", peer[1], local[1])
    return _SIGNATURE + struct.pack("!BBH", _PROXY_COMMAND, kind, len(addresses)) + addresses
