"""What the rules of egress refused, read of the kernel's log of packets (nfnetlink_log)."""

from __future__ import annotations

import os
import socket
import struct
import time
from _socket import AF_NETLINK, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW
from _socket import socket as Socket  # noqa: N812

from net.egress import LOG_GROUP, Refusal, interface_mark
from net.errors import NetError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# <linux/netlink.h>, <linux/netfilter/nfnetlink.h>, <linux/netfilter/nfnetlink_log.h>
_NETLINK_NETFILTER = 12
_REQUEST, _ACK = 1, 4
_ERROR = 2
_SUBSYSTEM = 4
_PACKET, _CONFIG = _SUBSYSTEM << 8, _SUBSYSTEM << 8 | 1
_CONFIG_COMMAND, _CONFIG_MODE, _CONFIG_THRESHOLD = 1, 2, 5
_BIND = 1
_COPY_PACKET = 2
_ATTRIBUTE_MARK, _ATTRIBUTE_PAYLOAD = 2, 9
_HEADER = struct.Struct("=IHHII")
#: octets of a packet that are enough for its addresses and ports
_COPIED = 96
_TCP, _UDP = 6, 17
_PROTOCOLS = {1: "icmp", _TCP: "tcp", _UDP: "udp", 58: "icmp"}


def open_refusal_log() -> Socket:
    """A socket that gets what is refused in the current network namespace. It does not block. Raises NetError.

    It wants CAP_NET_ADMIN there.
    """
    log = Socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, _NETLINK_NETFILTER)
    try:
        log.bind((0, 0))
        for kind, value in (
            (_CONFIG_COMMAND, bytes((_BIND,))),
            (_CONFIG_MODE, struct.pack(">IBx", _COPIED, _COPY_PACKET)),
            # each packet at once: the kernel would gather a hundred, or those of a second
            (_CONFIG_THRESHOLD, struct.pack(">I", 1)),
        ):
            _configure(log, kind, value)
    except OSError as error:
        log.close()
        raise NetError("cannot read what egress rules refuse", cause=error.strerror or str(error)) from error
    return log


def read_refusals(data: bytes, container_of: Callable[[int], str | None]) -> Iterator[Refusal]:
    """The refusals in what the socket gave; `container_of` says whose mark a packet has."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size:
            return
        if kind == _PACKET:
            attributes = dict(_attributes(data[offset + _HEADER.size + 4 : offset + length]))
            mark = int.from_bytes(attributes.get(_ATTRIBUTE_MARK, b"")[:4], "big")
            container = container_of(mark) if interface_mark(mark) else None
            what = destination(attributes.get(_ATTRIBUTE_PAYLOAD, b""))
            if container and what:
                yield Refusal(container, time.time(), "address", what)
        offset += length + 3 & ~3


def destination(packet: bytes) -> str:
    """Where a packet of IP was going, as `192.0.2.1:80/tcp`; "" for octets that are none."""
    try:
        if packet[0] >> 4 == 4:
            protocol, behind = packet[9], (packet[0] & 0x0F) * 4
            address = socket.inet_ntop(socket.AF_INET, packet[16:20])
        else:
            # extension headers are not looked behind: the protocol says what follows
            protocol, behind = packet[6], 40
            address = f"[{socket.inet_ntop(socket.AF_INET6, packet[24:40])}]"
        name = _PROTOCOLS.get(protocol, str(protocol))
        if protocol not in (_TCP, _UDP):
            return f"{address.strip('[]')}/{name}"
        (port,) = struct.unpack_from(">H", packet, behind + 2)
    except (IndexError, ValueError, struct.error):
        return ""
    return f"{address}:{port}/{name}"


def _configure(log: Socket, kind: int, value: bytes) -> None:
    attribute = struct.pack("=HH", 4 + len(value), kind) + value
    attribute += b"\0" * (-len(attribute) % 4)
    body = struct.pack(">BBH", socket.AF_UNSPEC, 0, LOG_GROUP) + attribute
    log.send(_HEADER.pack(_HEADER.size + len(body), _CONFIG, _REQUEST | _ACK, 0, 0) + body)
    # the kernel answers before send(2) returns
    answer = log.recv(4096)
    _, answer_kind, *_ = _HEADER.unpack_from(answer)
    (code,) = struct.unpack_from("=i", answer, _HEADER.size)
    if answer_kind == _ERROR and code:
        raise OSError(-code, os.strerror(-code))


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, offset)
        if length < 4:
            return
        yield kind & 0x3FFF, data[offset + 4 : offset + length]
        offset += length + 3 & ~3
