"""The process that carries the published ports of a service: one listener of each port, over all its members.

    who starts it (host's network)         sandbox-service (router's network, sockets of the host)
    binds the ports, the control socket ─▶ accepts, chooses a member, connects
    members come and go, by messages ────▶ a member that is withdrawn gets nothing new
                                           a member whose process has ended is out at once, whoever tells

It is nobody's child, and ends when it is told to: nothing of a service runs between its changes but this. What it knows
was told by others, and is told again to the one that follows it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from contextlib import suppress

from net.balance import Target
from net.client_address import ClientAddresses
from net.forward_loop import ForwardLoop, receive_with_fds
from net.keeper_protocol import peer_of
from net.listeners import Listener
from net.named_tuple import NamedTuple
from net.ports import PortMapping
from net.service_protocol import ServiceMember, decode_member

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

#: what `ps -o comm` shows: at most 15 bytes, proc(5)
PROCESS_NAME = "sandbox-service"
#: a connection through which nothing has passed for so long is not waited for, unless it waits for an answer
QUIET_SECONDS = 0.5
#: what a member that has ended said last is carried on for so long
_LAST_WORDS_SECONDS = 2.0
_BACKLOG = 64


class ServiceState(NamedTuple):
    """All that a forwarder knows while nothing is open; the descriptors stay open with the process."""

    service: str
    control_fd: int
    listeners: tuple[Listener, ...]
    has_affinity: bool
    #: with a descriptor of each one's process, and whether it is leaving
    members: tuple[tuple[ServiceMember, int, bool], ...]


class ServiceForwarder(ForwardLoop):
    """The loop of one service's ports. The listeners and `control`, a listening socket of packets, are taken over.

    `rest` is called when nothing was open or has happened for `quiet_seconds`; it may end the loop.
    """

    def __init__(
        self,
        service: str,
        control: socket.socket,
        listeners: Sequence[Listener],
        limit: int,
        rest: Callable[[ServiceForwarder], None] | None = None,
        quiet_seconds: float = 0.0,
    ) -> None:
        super().__init__(limit, listeners)
        self._service = service
        self._control = control
        self._rest, self._quiet_seconds = rest, quiet_seconds
        control.setblocking(False)
        self._pidfds: dict[str, int] = {}
        self._members: dict[str, ServiceMember] = {}
        #: connections over which it is told of changes
        self._doors = 0
        #: connections to be told when a member is drained
        self._drains: list[tuple[socket.socket, Target]] = []
        #: members that have ended, and when their connections do
        self._ended: list[tuple[float, Target]] = []
        self._looked = 0.0
        self._watch(control.fileno(), self._accept_control)

    def patience(self) -> float:
        """In seconds, as of all loops, and short while there is something to look at."""
        usual = super().patience()
        if self._rest is not None and self.is_idle:
            return self._quiet_seconds
        if not self._drains and not self._ended:
            return usual
        return QUIET_SECONDS if usual < 0 else min(usual, QUIET_SECONDS)

    def on_turn(self) -> None:
        """Look at members that leave, where it is time."""
        if not self._drains and not self._ended:
            return
        now = time.monotonic()
        if now - self._looked < QUIET_SECONDS:
            return
        self._looked = now
        for connection, target in tuple(self._drains):
            quiet = self.tcp.quiet_of(target)
            if quiet is not None:
                self.tcp.end_quiet(quiet)
                self._drained(connection, target)
        for at, target in tuple(self._ended):
            if at <= now:
                self._ended.remove((at, target))
                self.tcp.reset_of(target)

    # -- rest --------------------------------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether nothing is open, and nobody is being told anything."""
        is_open = self.tcp.sides or self.udp.flows or self._drains or self._ended or self._doors
        return self.accepts and not is_open

    def on_nothing(self) -> None:
        """Rest, where nothing is open."""
        if self._rest is not None and self.is_idle:
            rest, self._rest = self._rest, None
            rest(self)

    def state(self) -> ServiceState:
        """What another loop goes on with, `take_up`, in the same process."""
        members = tuple(
            (self._members[one.key], self._pidfds[one.key], one.is_leaving) for one in self.balance.targets.values()
        )
        return ServiceState(
            self._service, self._control.fileno(), self.listeners(), self.balance.has_affinity, members
        )  # fmt: skip

    def take_up(self, state: ServiceState) -> None:
        """Have the members of `state`, whose listeners and control socket this loop was made with."""
        self.balance.has_affinity = state.has_affinity
        for member, pidfd, is_leaving in state.members:
            self._admit(member, [pidfd])
            self.balance.targets[member.key].is_leaving = is_leaving

    # -- messages ----------------------------------------------------------------------------------------------------

    def _accept_control(self) -> None:
        try:
            connection, _ = self._control.accept()
        except OSError:
            return
        if peer_of(connection)[1] != os.geteuid():
            connection.close()
            return
        connection.setblocking(False)
        self._doors += 1
        self._watch(connection.fileno(), lambda: self._on_message(connection))

    def _on_message(self, connection: socket.socket) -> None:
        fds: list[int] = []
        try:
            data, fds = receive_with_fds(connection)
            if not data:
                self._hang_up(connection)
                return
            answer = self._answer(connection, json.loads(data), fds)
        except BlockingIOError:
            return
        except (OSError, KeyError, TypeError, ValueError) as error:
            answer = {"error": repr(error)}
        finally:
            for fd in fds:
                os.close(fd)
        with suppress(OSError):  # who asked is gone
            connection.send(json.dumps(answer).encode())
        if answer.get("ends"):
            os._exit(0)

    def _hang_up(self, connection: socket.socket) -> None:
        self._drains = [one for one in self._drains if one[0] is not connection]
        self._forget(connection.fileno())
        connection.close()
        self._doors -= 1

    def _answer(self, connection: socket.socket, message: dict[str, Any], fds: list[int]) -> dict[str, Any]:
        """What is said to the message; descriptors that are kept are taken out of `fds`."""
        match message:
            case {"do": "info"}:
                return self._account()
            case {"do": "add", "ports": rows}:
                for row in rows:
                    self.add(Listener(PortMapping(*row), fds[0]))
                    del fds[0]
            case {"do": "map", "ports": rows}:
                self.map([PortMapping(*row) for row in rows])
            case {"do": "remove", "keys": keys}:
                self.remove({(str(host), int(port), str(protocol)) for host, port, protocol in keys})
            case {"do": "admit", "member": row}:
                self._admit(decode_member(row), fds)
            case {"do": "withdraw", "key": key}:
                self._withdraw(key)
            case {"do": "drain", "key": key}:
                return self._drain(connection, key)
            case {"do": "set", "affinity": has_affinity}:
                self.balance.has_affinity = bool(has_affinity)
            case {"do": "end"}:
                # the ports are free when this is answered: at an exit the kernel closes what it likes first
                self.remove({Listener(one, -1).key for one in self.mappings()})
                return {"ends": True}
            case _:
                raise ValueError("not a message of a service's forwarder")
        return {}

    def _account(self) -> dict[str, Any]:
        members = [
            (one.key, one.weight, one.is_leaving, one.open, _address(one)) for one in self.balance.targets.values()
        ]
        return {
            "service": self._service, "pid": os.getpid(), "ports": self.mappings(),
            "affinity": self.balance.has_affinity, "members": members,
        }  # fmt: skip

    # -- members -----------------------------------------------------------------------------------------------------

    def _admit(self, member: ServiceMember, fds: list[int]) -> None:
        target = self.balance.targets.get(member.key)
        clients = ClientAddresses(member.target)
        if target is None:
            pidfd = fds.pop()
            target = Target(member.key, clients, member.weight)
            self.balance.targets[member.key] = target
            self._pidfds[member.key] = pidfd
            self._watch(pidfd, lambda: self._ended_by_itself(member.key))
        target.clients, target.weight, target.is_leaving = clients, member.weight, False
        self._members[member.key] = member

    def _withdraw(self, key: str) -> None:
        target = self.balance.targets.get(key)
        if target is not None:
            target.is_leaving = True
            self.udp.turn_away(target)

    def _drain(self, connection: socket.socket, key: str) -> dict[str, Any]:
        target = self.balance.targets.get(key)
        if target is None or self.tcp.quiet_of(target) == []:
            return {}
        self._drains.append((connection, target))
        self._looked = time.monotonic()
        return {"waits": True}

    def _drained(self, connection: socket.socket, target: Target) -> None:
        self._drains.remove((connection, target))
        with suppress(OSError):  # who asked is gone
            connection.send(b"{}")

    def _ended_by_itself(self, key: str) -> None:
        pidfd = self._pidfds.pop(key)
        self._forget(pidfd)
        os.close(pidfd)
        target = self.balance.targets.pop(key)
        del self._members[key]
        target.is_leaving = True
        self.udp.forget_target(target)
        self._ended.append((time.monotonic() + _LAST_WORDS_SECONDS, target))

    # -- descriptors -------------------------------------------------------------------------------------------------

    def _watch(self, number: int, called: Callable[[], None]) -> None:
        self.on_message[number] = called
        self.epoll.register(number, select.EPOLLIN)

    def _forget(self, number: int) -> None:
        del self.on_message[number]
        self.epoll.unregister(number)


def listen_for_control(path: str) -> socket.socket:
    """The socket that a forwarder is told by; what lay at `path`, of which nobody listens, is replaced."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            os.unlink(path)
        listener.bind(path)
        listener.listen(_BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _address(target: Target) -> str:
    for family in (socket.AF_INET, socket.AF_INET6):
        if (found := target.clients.destination(family)) is not None:
            return found[1]
    return ""
