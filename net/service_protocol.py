"""What is said to the forwarder of a service: JSON, one message a packet, descriptors beside it; each has an answer.

    info                          what it listens on, and its members with their open connections
    add {ports} + fds             listening sockets, bound by who asks
    map {ports}                   other ports of the containers behind sockets that it has
    remove {keys}                 close them; connections that are open go on
    admit {member} + pidfd        requests may come to it from now on; it is out by itself when that process ends
    withdraw {key}                no new ones; those that are open go on
    drain {key}                   answered when no request is open any more; what waits idle is ended then
    set {affinity}                whether a client's address decides
    end                           answered, and then it ends

It listens on a socket in a directory of the user's own, and answers nobody else.
"""

from __future__ import annotations

import json
import socket

from net.client_address import ForwardTarget
from net.errors import NetError
from net.named_tuple import NamedTuple
from net.ports import PortMapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

MESSAGE_BYTES = 1 << 16


class ServiceMember(NamedTuple):
    """One container of a service; `key` is its id."""

    key: str
    target: ForwardTarget
    weight: int = 1


class MemberLoad(NamedTuple):
    """How a member is seen by the forwarder."""

    key: str
    weight: int
    #: it takes nothing new, and ends what is open
    is_leaving: bool
    #: connections, and flows of udp
    open: int
    address: str = ""


class ServiceInfo(NamedTuple):
    """What a forwarder does. `service` is what it was started for."""

    service: str
    pid: int
    ports: tuple[PortMapping, ...]
    has_affinity: bool
    members: tuple[MemberLoad, ...]


class ServiceDoor:
    """A connection to the forwarder of a service; one question at a time. Raises OSError where it has ended."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def info(self) -> ServiceInfo:
        """What it does now."""
        return decode_info(self._ask({"do": "info"}))

    def add(self, ports: Sequence[PortMapping], fds: Sequence[int]) -> None:
        """Have it carry what comes to these listening sockets, which stay the caller's."""
        self._ask({"do": "add", "ports": ports}, fds)

    def map(self, ports: Sequence[PortMapping]) -> None:
        """Have sockets that it has lead to other ports of the containers."""
        self._ask({"do": "map", "ports": ports})

    def remove(self, keys: Sequence[tuple[str, int, str]]) -> None:
        """Have it close listening sockets, told by `Listener.key`."""
        self._ask({"do": "remove", "keys": keys})

    def admit(self, member: ServiceMember, pidfd: int) -> None:
        """Have requests come to the member, as long as the process of `pidfd` runs, which stays the caller's."""
        self._ask({"do": "admit", "member": member}, [pidfd])

    def withdraw(self, key: str) -> None:
        """Have no more requests come to the member. One that it does not know is no error."""
        self._ask({"do": "withdraw", "key": key})

    def begin_drain(self, key: str) -> bool:
        """Ask to be told when a withdrawn member has no open request; False where it has none now. Else the connection
        is readable then, and of no other use.
        """
        return bool(self._ask({"do": "drain", "key": key}).get("waits"))

    def set_affinity(self, has_affinity: bool) -> None:
        """Whether a client's address decides which member it comes to."""
        self._ask({"do": "set", "affinity": has_affinity})

    def end(self) -> None:
        """Have it close its ports and end, with all connections."""
        self._ask({"do": "end"})

    def _ask(self, message: dict[str, Any], fds: Sequence[int] = ()) -> dict[str, Any]:
        socket.send_fds(self.connection, [json.dumps(message).encode()], list(fds))
        data = self.connection.recv(MESSAGE_BYTES)
        if not data:
            raise ConnectionResetError("the forwarder of the service has ended")
        answer: dict[str, Any] = json.loads(data)
        if "error" in answer:
            raise NetError("the forwarder of the service refuses", cause=str(answer["error"]))
        return answer


def decode_info(plain: dict[str, Any]) -> ServiceInfo:
    """The answer to `info`. Raises KeyError and TypeError for what is none."""
    return ServiceInfo(
        str(plain["service"]),
        int(plain["pid"]),
        tuple(PortMapping(*row) for row in plain["ports"]),
        bool(plain["affinity"]),
        tuple(MemberLoad(*row) for row in plain["members"]),
    )


def decode_member(row: Sequence[Any]) -> ServiceMember:
    """The member of `admit`. Raises TypeError and ValueError for what is none."""
    key, target, weight = row
    address4, address6, subnets = target
    return ServiceMember(str(key), ForwardTarget(str(address4), str(address6), tuple(subnets)), max(1, int(weight)))
