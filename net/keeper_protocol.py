"""What monitors and the keeper say to each other: JSON, one message a packet, descriptors beside it.

    monitor                              keeper
      | join {version, member} + fds ----> |   the sockets that answer 127.0.0.11 in the container
      | <--------- way_out {…} + fds ----- |   now, and each time slirp4netns is up anew: pidfd, exit and log pipes
      | update {version, member} --------> |   the whole again, after connect, disconnect, rename
      | <------------- refusals {rows} --- |   what the rules for the way out refused
      | end of stream -------------------> |   the container is gone
    anybody
      | info {version} ------------------> |   on a connection of its own
      | <------------------ info {…} ----- |

The keeper listens on an abstract socket in the bridges' own network namespace, which is that of one user: nobody else
reaches it, no directory is needed for it, and the kernel lets one listen.

A keeper understands messages of older versions. To a message of a newer one it answers `successor`, with its listening
socket and slirp4netns' descriptors, and ends: whoever asked starts the new keeper over the same socket.
"""

from __future__ import annotations

import json
import socket
import struct

from net.errors import NetError
from net.named_tuple import NamedTuple
from net.names import ContainerNames, names_from_plain, names_to_plain
from net.ports import PortMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

#: counted up with each change of what is said or done that an older keeper would get wrong
KEEPER_VERSION = 3
KEEPER_ADDRESS = b"\0sandbox-keeper"
#: a kernel's default send buffer holds some more, socket(7)
MESSAGE_LIMIT_BYTES = 192 << 10
#: SCM_MAX_FD, unix(7)
_MOST_DESCRIPTORS = 253
_UCRED = struct.Struct("@iII")


class WayOut(NamedTuple):
    """How slirp4netns is: `state` is none, starting, ready or failed; the last three fields are of a failure."""

    state: str = "none"
    pid: int = 0
    restarts: int = 0
    notes: tuple[str, ...] = ()
    message: str = ""
    cause: str = ""
    mend: str = ""


class KeeperMember(NamedTuple):
    """One container as its monitor, `pid`, tells of it.

    `forwards` are the ports that slirp4netns itself forwards to the address `forward_target`, "" where it is to forward
    none. They are open when they are told; the keeper opens them again, and closes all others that lead there.
    """

    container: str
    pid: int
    names: ContainerNames
    wants_way_out: bool = True
    forwards: tuple[PortMapping, ...] = ()
    forward_target: str = ""


class KeeperInfo(NamedTuple):
    """What a keeper does, for people. Times are in seconds since 1970."""

    version: int
    pid: int
    started: float
    slirp_version: str
    mtu: int
    ipv6: bool
    way_out: WayOut
    #: (container, pid of its monitor)
    members: tuple[tuple[str, int], ...]
    #: (time, text), oldest first
    log: tuple[tuple[float, str], ...]


def member_message(kind: str, member: KeeperMember) -> dict[str, Any]:
    """`kind` is join or update."""
    plain = {**member._asdict(), "names": names_to_plain(member.names)}
    return {"type": kind, "version": KEEPER_VERSION, "member": plain}


def decode_member(document: dict[str, Any]) -> KeeperMember:
    """The member of a join or update. Raises ValueError for what is none."""
    try:
        plain = document["member"]
        return KeeperMember(
            str(plain["container"]),
            int(plain["pid"]),
            names_from_plain(plain["names"]),
            bool(plain["wants_way_out"]),
            tuple(PortMapping(*row) for row in plain["forwards"]),
            str(plain.get("forward_target", "")),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a member: {error!r}") from error


def decode_way_out(document: dict[str, Any]) -> WayOut:
    """Raises ValueError for what is none."""
    try:
        plain = {field: document[field] for field in WayOut._fields}
        return WayOut(**{**plain, "notes": tuple(plain["notes"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a way out: {error!r}") from error


def decode_info(document: dict[str, Any]) -> KeeperInfo:
    """Raises ValueError for what is none."""
    try:
        plain = {field: document[field] for field in KeeperInfo._fields}
        members = tuple((str(container), int(pid)) for container, pid in plain["members"])
        log = tuple((float(time), str(text)) for time, text in plain["log"])
        return KeeperInfo(**{**plain, "way_out": decode_way_out(plain["way_out"]), "members": members, "log": log})
    except (KeyError, TypeError) as error:
        raise ValueError(f"not an account of a keeper: {error!r}") from error


def encode_message(document: dict[str, Any]) -> bytes:
    """The packet of a message. Raises NetError for one that no packet holds."""
    data = json.dumps(document).encode()
    if len(data) > MESSAGE_LIMIT_BYTES:
        raise NetError(f"a message of {len(data)} bytes to the keeper is too long")
    return data


def decode_message(data: bytes) -> dict[str, Any]:
    """Raises ValueError for what is no message."""
    document = json.loads(data)
    if not isinstance(document, dict) or not isinstance(document.get("type"), str):
        raise ValueError("not a message of the keeper's")
    return document


def send_message(connection: socket.socket, document: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Send at once or not at all. Raises OSError: BlockingIOError where the other side reads too slowly."""
    flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL
    socket.send_fds(connection, [encode_message(document)], list(fds), flags)


def receive_message(connection: socket.socket, flags: int = 0) -> tuple[bytes, list[int]]:
    """The next packet, empty at the end of the stream, with its descriptors, which are the caller's. Raises OSError."""
    data, fds, _flags, _address = socket.recv_fds(
        connection, MESSAGE_LIMIT_BYTES, _MOST_DESCRIPTORS, flags | socket.MSG_CMSG_CLOEXEC
    )
    return data, fds


def peer_of(connection: socket.socket) -> tuple[int, int]:
    """The (pid, uid) of who is at the other end, as the kernel saw it connect or listen."""
    pid, uid, _gid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(pid), int(uid)
