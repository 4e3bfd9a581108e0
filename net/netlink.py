"""rtnetlink(7) by hand: messages in batches, each acknowledged, errors in the kernel's own words.

A socket belongs to the network namespace it was made in, whoever holds it later. The kernel looks at the rights of who
made it and of who sends (netlink(7)): both must be root of a user namespace above the network namespace.

One batch is one sendmsg(2): the kernel has done all of it, and put all answers into the socket, when that returns. It
goes on after a message that fails: who sends says what is to be undone.
"""

from __future__ import annotations

import errno
import os
import struct
from _socket import AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW, socket

from net.errors import NetError
from net.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# <linux/netlink.h>
NETLINK_ROUTE = 0
SOL_NETLINK = 270
NETLINK_CAP_ACK = 10
NETLINK_EXT_ACK = 11
NETLINK_GET_STRICT_CHK = 12
NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_REPLACE = 0x100
NLM_F_DUMP = 0x300
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
NLM_F_ACK_TLVS = 0x200
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLA_F_NESTED = 0x8000
NLMSGERR_ATTR_MSG = 1

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
#: the kernel fills at most this for a dump that asks by a buffer of it
_RECEIVE_BYTES = 1 << 16


class Message(NamedTuple):
    """One request. `doing` tells a person what fails where it does: "make the bridge br-1234"."""

    kind: int
    flags: int
    body: bytes
    doing: str
    #: errors that are none here: what is asked for is so already
    tolerated: tuple[int, ...] = ()


class NetlinkError(NetError):
    """The kernel refused a message; `code` is its errno."""

    def __init__(self, message: str, code: int, *, cause: str = "", mend: str = "") -> None:
        super().__init__(message, cause=cause, mend=mend)
        self.code = code


class Rtnetlink:
    """An rtnetlink socket, owned by the holder of this object."""

    def __init__(self, opened: socket) -> None:
        self._socket = opened
        self._sequence = 0

    @classmethod
    def from_fd(cls, fd: int) -> Rtnetlink:
        """The socket of `open_rtnetlink`, received from another process; `fd` is taken over."""
        return cls(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE, fileno=fd))

    def fileno(self) -> int:
        """The descriptor, which stays this object's."""
        return self._socket.fileno()

    def detach(self) -> int:
        """The descriptor, which is the caller's from now on."""
        return self._socket.detach()

    def close(self) -> None:
        """Close it; harmless when called twice."""
        self._socket.close()

    def send(self, *messages: Message) -> None:
        """Have the kernel do all of them, in order, and raise NetlinkError for the first that it refused."""
        if not messages:
            return
        first = self._sequence + 1
        batch = b"".join(self._encode(message, NLM_F_ACK) for message in messages)
        self._socket.send(batch)
        refused: list[NetlinkError] = []
        for sequence, kind, flags, payload in self._answers(self._sequence):
            if kind == NLMSG_ERROR and sequence >= first:
                message = messages[sequence - first]
                error = _refusal(message, flags, payload)
                if error is not None and error.code not in message.tolerated:
                    refused.append(error)
        if refused:
            raise refused[0]

    def ask(self, message: Message) -> list[bytes]:
        """The bodies of what the kernel answers, of one thing or, with NLM_F_DUMP, of all. Raises NetlinkError."""
        is_dump = message.flags & NLM_F_DUMP == NLM_F_DUMP
        self._socket.send(self._encode(message, 0 if is_dump else NLM_F_ACK))
        found: list[bytes] = []
        for sequence, kind, flags, payload in self._answers(self._sequence):
            if sequence != self._sequence:
                continue
            if kind == NLMSG_ERROR:
                error = _refusal(message, flags, payload)
                if error is not None and error.code not in message.tolerated:
                    raise error
            elif kind != NLMSG_DONE:
                found.append(payload)
        return found

    def _encode(self, message: Message, flags: int) -> bytes:
        self._sequence += 1
        length = _HEADER.size + len(message.body)
        header = _HEADER.pack(length, message.kind, message.flags | flags | NLM_F_REQUEST, self._sequence, 0)
        return (header + message.body).ljust(_aligned(length), b"\0")

    def _answers(self, last: int) -> Iterator[tuple[int, int, int, bytes]]:
        """Sequence number, kind, flags and payload of each answer, up to the end of what request `last` is answered."""
        while True:
            data = self._socket.recv(_RECEIVE_BYTES)
            offset = 0
            while offset + _HEADER.size <= len(data):
                length, kind, flags, sequence, _port = _HEADER.unpack_from(data, offset)
                yield sequence, kind, flags, data[offset + _HEADER.size : offset + length]
                if sequence == last and kind in (NLMSG_ERROR, NLMSG_DONE):
                    return
                offset += _aligned(length)


def open_rtnetlink() -> Rtnetlink:
    """A socket of the network namespace this process is in. Raises NetError."""
    try:
        opened = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE)
    except OSError as error:
        raise NetError("cannot open an rtnetlink socket", cause=error.strerror or str(error)) from error
    for option in (NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK):
        opened.setsockopt(SOL_NETLINK, option, 1)
    return Rtnetlink(opened)


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    length = _ATTRIBUTE.size + len(value)
    return (_ATTRIBUTE.pack(length, kind) + value).ljust(_aligned(length), b"\0")


def number(kind: int, value: int) -> bytes:
    """An attribute of 32 bits."""
    return attribute(kind, struct.pack("=I", value))


def text(kind: int, value: str) -> bytes:
    """An attribute that is a text, with its final NUL."""
    return attribute(kind, os.fsencode(value) + b"\0")


def nested(kind: int, *children: bytes) -> bytes:
    """An attribute that holds others."""
    return attribute(kind | NLA_F_NESTED, b"".join(children))


def attributes(data: bytes) -> dict[int, bytes]:
    """Kind -> value of the attributes that `data` is a row of."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & ~NLA_F_NESTED] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += _aligned(length)
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3


def _refusal(message: Message, flags: int, payload: bytes) -> NetlinkError | None:
    (code,) = struct.unpack_from("=i", payload)
    if code == 0:
        return None
    words = os.strerror(-code)
    if flags & NLM_F_ACK_TLVS:
        # struct nlmsgerr: the code, then the header of what was asked (NETLINK_CAP_ACK: without its body)
        said = attributes(payload[4 + _HEADER.size :]).get(NLMSGERR_ATTR_MSG, b"")
        if said:
            words = said.rstrip(b"\0").decode(errors="replace")
    mend = "sandbox doctor bridge" if -code in (errno.EPERM, errno.EOPNOTSUPP) else ""
    return NetlinkError(f"cannot {message.doing}", -code, cause=words, mend=mend)
