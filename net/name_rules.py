"""The nftables rules that lead 127.0.0.11:53 of a container to its name sockets, given to the kernel by hand.

They are two rules and always the same, and each container is made with them: libnftables costs 3 ms of CPU for them,
this some 0.2. What `nft list ruleset` says of them:

    table ip sandbox_names {
        chain sandbox_names_output {
            type nat hook output priority -100; policy accept;
            ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:PORT
            ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:PORT
        }
    }
"""

from __future__ import annotations

import os
import struct
from _socket import (
    AF_INET,
    AF_NETLINK,
    AF_UNSPEC,
    MSG_DONTWAIT,
    SOCK_CLOEXEC,
    SOCK_RAW,
    socket,
)

from net.errors import NetError
from net.named_tuple import NamedTuple
from net.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_REQUEST, NLMSG_ERROR, attribute, nested, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# <linux/netlink.h>, <linux/netfilter/nfnetlink.h>
_NETLINK_NETFILTER = 12
_NLM_F_APPEND = 0x800
_BATCH_BEGIN, _BATCH_END = 16, 17
_TABLES = 10
# <linux/netfilter/nf_tables.h>: messages, and the kinds of their attributes
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 3, 6
_TABLE_NAME, _TABLE_FLAGS = 1, 2
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_POLICY, _CHAIN_TYPE = 1, 3, 4, 5, 7
_HOOK_NUMBER, _HOOK_PRIORITY = 1, 2
_RULE_TABLE, _RULE_CHAIN, _RULE_EXPRESSIONS = 1, 2, 4
_LIST_ELEMENT = 1
_EXPRESSION_NAME, _EXPRESSION_DATA = 1, 2
_DATA_VALUE = 1
_PAYLOAD_TO, _PAYLOAD_BASE, _PAYLOAD_OFFSET, _PAYLOAD_LENGTH = 1, 2, 3, 4
_COMPARE_FROM, _COMPARE_OPERATOR, _COMPARE_DATA = 1, 2, 3
_META_TO, _META_KEY = 1, 2
_IMMEDIATE_TO, _IMMEDIATE_DATA = 1, 2
_NAT_TYPE, _NAT_FAMILY, _NAT_ADDRESS, _NAT_PORT, _NAT_FLAGS = 1, 2, 3, 5, 7
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_DESTINATION_ADDRESS = 16
_DESTINATION_PORT = 2
_EQUAL, _L4PROTO, _DNAT, _PORT_IS_GIVEN = 0, 16, 1, 2
_ACCEPT = 1
#: NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST
_OUTPUT, _BEFORE_ROUTING = 3, -100
_FIRST, _SECOND = 1, 2

_HEADER = struct.Struct("=IHHII")
_TABLE, _CHAIN = "sandbox_names", "sandbox_names_output"
_ANSWER_BYTES = 1 << 14


class Lead(NamedTuple):
    """From one port to another, of an address of the loopback; `protocol` is IPPROTO_UDP or IPPROTO_TCP."""

    protocol: int
    port: int
    to_port: int


def lead_ports(address: bytes, leads: Sequence[Lead]) -> None:
    """Lead what programs of the current network namespace send to ports of `address`, of 4 octets, to others of it.

    Beside what was led before. Raises NetError.
    """
    around = struct.pack(">BBH", AF_UNSPEC, 0, _TABLES)
    messages = [
        (_BATCH_BEGIN, 0, around),
        _of_tables(_NEW_TABLE, text(_TABLE_NAME, _TABLE), _number(_TABLE_FLAGS, 0)),
        _of_tables(
            _NEW_CHAIN,
            text(_CHAIN_TABLE, _TABLE),
            text(_CHAIN_NAME, _CHAIN),
            text(_CHAIN_TYPE, "nat"),
            _number(_CHAIN_POLICY, _ACCEPT),
            nested(_CHAIN_HOOK, _number(_HOOK_NUMBER, _OUTPUT), _number(_HOOK_PRIORITY, _BEFORE_ROUTING)),
        ),
        *(
            _of_tables(
                _NEW_RULE,
                text(_RULE_TABLE, _TABLE),
                text(_RULE_CHAIN, _CHAIN),
                nested(_RULE_EXPRESSIONS, *_expressions(address, lead)),
            )
            for lead in leads
        ),
        (_BATCH_END, 0, around),
    ]
    try:
        netfilter = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, _NETLINK_NETFILTER)
        try:
            _send(netfilter, messages)
        finally:
            netfilter.close()
    except OSError as error:
        raise NetError(
            "cannot lead a container's questions to its name server",
            cause=error.strerror or str(error),
            mend="sandbox doctor bridge",
        ) from error


def _send(netfilter: socket, messages: list[tuple[int, int, bytes]]) -> None:
    batch = [
        _HEADER.pack(_HEADER.size + len(body), kind, flags | NLM_F_REQUEST, sequence, 0) + body
        for sequence, (kind, flags, body) in enumerate(messages)
    ]
    netfilter.send(b"".join(batch))
    # the kernel has put all answers into the socket by now: one for each message but the two around them
    acknowledged = 0
    while acknowledged < len(messages) - 2:
        data = netfilter.recv(_ANSWER_BYTES, MSG_DONTWAIT)
        offset = 0
        while offset < len(data):
            length, kind, _flags, sequence, _port = _HEADER.unpack_from(data, offset)
            if kind == NLMSG_ERROR:
                (code,) = struct.unpack_from("=i", data, offset + _HEADER.size)
                if code:
                    raise OSError(-code, os.strerror(-code))
                # newer kernels acknowledge those around, too
                acknowledged += 0 < sequence < len(messages) - 1
            offset += length + 3 & ~3


def _of_tables(kind: int, *contents: bytes) -> tuple[int, int, bytes]:
    body = struct.pack(">BBH", AF_INET, 0, 0) + b"".join(contents)
    flags = NLM_F_ACK | (NLM_F_CREATE if kind != _NEW_TABLE else 0) | (_NLM_F_APPEND if kind == _NEW_RULE else 0)
    return _TABLES << 8 | kind, flags, body


def _expressions(address: bytes, lead: Lead) -> Iterator[bytes]:
    yield _load(_NETWORK_HEADER, _DESTINATION_ADDRESS, 4)
    yield _is_equal(address)
    yield _expression("meta", _number(_META_KEY, _L4PROTO), _number(_META_TO, _FIRST))
    yield _is_equal(bytes((lead.protocol,)))
    yield _load(_TRANSPORT_HEADER, _DESTINATION_PORT, 2)
    yield _is_equal(lead.port.to_bytes(2, "big"))
    for register, value in ((_FIRST, address), (_SECOND, lead.to_port.to_bytes(2, "big"))):
        data = nested(_IMMEDIATE_DATA, attribute(_DATA_VALUE, value))
        yield _expression("immediate", _number(_IMMEDIATE_TO, register), data)
    yield _expression(
        "nat",
        _number(_NAT_TYPE, _DNAT),
        _number(_NAT_FAMILY, AF_INET),
        _number(_NAT_ADDRESS, _FIRST),
        _number(_NAT_PORT, _SECOND),
        _number(_NAT_FLAGS, _PORT_IS_GIVEN),
    )


def _load(base: int, offset: int, length: int) -> bytes:
    return _expression(
        "payload",
        _number(_PAYLOAD_TO, _FIRST),
        _number(_PAYLOAD_BASE, base),
        _number(_PAYLOAD_OFFSET, offset),
        _number(_PAYLOAD_LENGTH, length),
    )


def _is_equal(value: bytes) -> bytes:
    data = nested(_COMPARE_DATA, attribute(_DATA_VALUE, value))
    return _expression("cmp", _number(_COMPARE_FROM, _FIRST), _number(_COMPARE_OPERATOR, _EQUAL), data)


def _expression(name: str, *contents: bytes) -> bytes:
    return nested(_LIST_ELEMENT, text(_EXPRESSION_NAME, name), nested(_EXPRESSION_DATA, *contents))


def _number(kind: int, value: int) -> bytes:
    """An attribute of 32 bits, in the order of octets of nf_tables."""
    return attribute(kind, struct.pack(">i", value))
