"""What a service publishes, and who its members are, made so in its forwarder.

All of it may be done again after whatever was killed: each function says how things are to be, and changes what is not.
"""

from __future__ import annotations

import os
from contextlib import suppress

from net.errors import NetError
from net.host_ports import PortInUseError
from net.listeners import FDS_IN_A_MESSAGE, close_listeners, open_listeners
from net.ports import check_conflicts
from net.service_protocol import ServiceMember
from sandbox.errors import ConflictError, HostError, translated
from sandbox.live_processes import process_start
from sandbox.named_tuple import NamedTuple
from sandbox.network.port_holders import holder_of
from sandbox.network.service_forwarders import alone, end_forwarder, end_lost_forwarder, open_door, start_forwarder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from net.client_address import ForwardTarget
    from net.listeners import Listener
    from net.ports import PortMapping
    from net.service_protocol import ServiceDoor, ServiceInfo
    from sandbox.paths import Paths

#: what a port is chosen from that nobody named, as Swarm does
CHOSEN_PORTS = (30000, 32767)


class PublishedService(NamedTuple):
    """What a service is to listen on. A mapping's port 0 is any of CHOSEN_PORTS, its address "" every one."""

    id: str
    name: str
    ports: tuple[PortMapping, ...]
    #: whether a client's address decides which member it comes to
    has_affinity: bool = False


class Member(NamedTuple):
    """A container that is to get requests: its first process, as records name one, and where it is reached."""

    container_id: str
    pid: int
    start: int
    target: ForwardTarget
    weight: int = 1


def publish(paths: Paths, service: PublishedService) -> tuple[PortMapping, ...]:
    """Have the service listen on these ports and on no other; they come back as they are bound, in their order.

    Where one cannot be had nothing is changed. Raises ConflictError, which names who has it, and HostError.
    """
    with alone(paths):
        if not service.ports:
            end_forwarder(paths, service.id)
            return ()
        door = open_door(paths, service.id)
        if door is not None:
            with door.connection, suppress(ConnectionError), translated(HostError, "cannot publish the ports"):
                return _change(paths, door, service)
            # it was killed just now
        with translated(HostError, f"cannot publish the ports of service {service.name}"):
            return _begin(paths, service)


def remove(paths: Paths, service_id: str) -> None:
    """Have the service listen on nothing, and end what carries its connections. Raises HostError."""
    with alone(paths):
        end_forwarder(paths, service_id)


def admit(paths: Paths, service_id: str, member: Member) -> bool:
    """Have requests come to a container that runs; False where it does not, or nothing carries the service's ports."""
    try:
        pidfd = os.pidfd_open(member.pid)
    except ProcessLookupError:
        return False
    try:
        # asked with the descriptor in hand: the number may have been given anew
        if process_start(member.pid) != member.start:
            return False
        wanted = ServiceMember(member.container_id, member.target, member.weight)
        return _told(paths, service_id, lambda door: door.admit(wanted, pidfd))
    finally:
        os.close(pidfd)


def withdraw(paths: Paths, service_id: str, container_id: str) -> None:
    """Have no more requests come to it, from when this returns; those that are open go on. Raises HostError."""
    _told(paths, service_id, lambda door: door.withdraw(container_id))


class Drain:
    """A member that has requests open still: readable when there are none. To be closed."""

    def __init__(self, door: ServiceDoor) -> None:
        self._door = door

    def fileno(self) -> int:
        """To be watched for reading."""
        return self._door.connection.fileno()

    def close(self) -> None:
        """Wait no more; what is open goes on."""
        self._door.connection.close()


def begin_drain(paths: Paths, service_id: str, container_id: str) -> Drain | None:
    """What tells when a container that was withdrawn has answered all its requests; None where it has by now."""
    door = open_door(paths, service_id)
    if door is None:
        return None
    try:
        if door.begin_drain(container_id):
            return Drain(door)
    except (OSError, NetError):
        pass  # it has ended, and all that was open
    door.connection.close()
    return None


def look_at(paths: Paths, service_id: str) -> ServiceInfo | None:
    """What the forwarder does; None where there is none."""
    found: list[ServiceInfo] = []
    _told(paths, service_id, lambda door: found.append(door.info()))
    return found[0] if found else None


def _told(paths: Paths, service_id: str, tell: Callable[[ServiceDoor], None]) -> bool:
    """Whether there is a forwarder that was told."""
    door = open_door(paths, service_id)
    if door is None:
        return False
    with door.connection:
        try:
            tell(door)
        except ConnectionError:
            return False
        except (OSError, NetError) as error:
            raise HostError("the forwarder of a service does not answer", cause=str(error)) from error
    return True


def _begin(paths: Paths, service: PublishedService) -> tuple[PortMapping, ...]:
    end_lost_forwarder(paths, service.id)
    # bound before anything is started: most often that is what fails
    opened = _open_all(paths, service, service.ports)
    try:
        door = start_forwarder(paths, service.id, service.name)
        with door.connection:
            _hand_over(door, opened)
            if service.has_affinity:
                door.set_affinity(True)
    finally:
        for listeners in opened:
            close_listeners(listeners)
    return tuple(_as_bound(one, listeners) for one, listeners in zip(service.ports, opened, strict=True))


def _change(paths: Paths, door: ServiceDoor, service: PublishedService) -> tuple[PortMapping, ...]:
    info = door.info()
    kept = {wanted: _bound_for(wanted, info.ports) for wanted in service.ports}
    used = {one for bound in kept.values() for one in bound}
    obsolete = [_key(one) for one in info.ports if one not in used]
    new = [wanted for wanted, bound in kept.items() if not bound]
    if any(_in_the_way(wanted, key) for wanted in new for key in obsolete):
        # another address of a port that is ours by now
        door.remove(obsolete)
        obsolete = []
    opened = dict(zip(new, _open_all(paths, service, new), strict=True))
    try:
        _hand_over(door, list(opened.values()))
    finally:
        for listeners in opened.values():
            close_listeners(listeners)
    if obsolete:
        door.remove(obsolete)
    moved = [
        one._replace(container_port=wanted.container_port)
        for wanted, bound in kept.items()
        for one in bound
        if one.container_port != wanted.container_port
    ]
    if moved:
        door.map(moved)
    if info.has_affinity != service.has_affinity:
        door.set_affinity(service.has_affinity)
    return tuple(
        _as_bound(wanted, opened[wanted]) if wanted in opened else _fixed(wanted, kept[wanted][0].host_port)
        for wanted in service.ports
    )


def _bound_for(wanted: PortMapping, bound: Sequence[PortMapping]) -> list[PortMapping]:
    """The listening sockets that are what is wanted, but for the port of the containers where the host's is named."""
    addresses = (wanted.host_ip,) if wanted.host_ip else ("0.0.0.0", "::")
    first, last = _range(wanted)
    is_chosen = first != last
    found = [
        one
        for one in bound
        if one.protocol == wanted.protocol
        and one.host_ip in addresses
        and first <= one.host_port <= last
        and (not is_chosen or one.container_port == wanted.container_port)
    ]
    return [one for one in found if one.host_port == found[0].host_port]


def _open_all(paths: Paths, service: PublishedService, ports: Sequence[PortMapping]) -> list[tuple[Listener, ...]]:
    opened: list[tuple[Listener, ...]] = []
    try:
        check_conflicts(ports)
        for one in ports:
            first, last = _range(one)
            opened.append(open_listeners([one._replace(host_port=first, host_port_end=last if last != first else 0)]))
    except BaseException as error:
        for listeners in opened:
            close_listeners(listeners)
        if isinstance(error, PortInUseError):
            raise _taken(paths, service, error) from error
        raise
    return opened


def _taken(paths: Paths, service: PublishedService, error: PortInUseError) -> ConflictError:
    holder = holder_of(paths, error)
    if holder is not None and holder.kind == "service":
        by = f"service '{holder.name}' ({holder.id}) as an ingress port"
        words = f"port '{error.forward.host_port}' is already in use by {by}"
        return ConflictError(words, mend=f"use another port, or: sandbox service rm {holder.name}")
    cause = f"container {holder.name} publishes it" if holder is not None else error.cause
    mend = f"{error.mend}; or: sandbox stop {holder.name}" if holder is not None else error.mend
    return ConflictError(f"cannot publish the ports of service {service.name}: {error.message}", cause=cause, mend=mend)


def _hand_over(door: ServiceDoor, opened: Sequence[Sequence[Listener]]) -> None:
    listeners = [one for some in opened for one in some]
    for at in range(0, len(listeners), FDS_IN_A_MESSAGE):
        some = listeners[at : at + FDS_IN_A_MESSAGE]
        door.add([one.mapping for one in some], [one.fd for one in some])


def _range(wanted: PortMapping) -> tuple[int, int]:
    if not wanted.host_port:
        return CHOSEN_PORTS
    return wanted.host_port, wanted.host_port_end or wanted.host_port


def _in_the_way(wanted: PortMapping, key: tuple[str, int, str]) -> bool:
    first, last = _range(wanted)
    return key[2] == wanted.protocol and first <= key[1] <= last


def _as_bound(wanted: PortMapping, listeners: Sequence[Listener]) -> PortMapping:
    return _fixed(wanted, listeners[0].mapping.host_port)


def _fixed(wanted: PortMapping, port: int) -> PortMapping:
    return wanted._replace(host_port=port, host_port_end=0)


def _key(bound: PortMapping) -> tuple[str, int, str]:
    return bound.host_ip, bound.host_port, bound.protocol
