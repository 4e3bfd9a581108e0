"""The ports of services, as the reconciler and operations ask for them: what rows say is made so.

    publish    before a new or changed service is one: who has a port that is taken is told then
    settle     after a decision, and when nobody knows what was killed: ports and members are what the rows say
    withdraw   before a task's stop signal, by ports and names; `begin_drain` tells when its open requests are answered
    sweep      what no service names any more is ended

Each may be done again, by any process, whatever was killed in between. All of them wait for some milliseconds, fork
nothing of the caller's, and open the database for themselves.
"""

from __future__ import annotations

from contextlib import suppress

from net.ports import PortMapping
from sandbox.container.life.asking import call_monitor
from sandbox.container.model.store import load_container
from sandbox.errors import ConflictError, SandboxError, UsageError
from sandbox.network import service_forwarders, service_ports
from sandbox.network.forward_targets import member_target
from sandbox.network.service_ports import Drain, Member, PublishedService
from sandbox.network.store import endpoints_of
from sandbox.service.published import published_ports, set_published_ports, with_chosen
from sandbox.service.store import all_services, load_service, tasks_of, update_service
from sandbox.service.vips import announce_vips, settle_vips
from sandbox.state import open_state
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Sequence
    from contextlib import AbstractContextManager

    from net.service_protocol import ServiceInfo
    from sandbox.paths import Paths
    from sandbox.service.record import Service
    from sandbox.service.spec import ServicePort, ServiceSpec
    from sandbox.service.task import Task


def check_modes(spec: ServiceSpec) -> None:
    """Raise UsageError for a service whose tasks would each want the same port of this machine."""
    if spec.mode.slots <= 1:
        return
    for port in spec.ports:
        if port.mode == "host" and port.published:
            raise UsageError(
                f"service {spec.name}: only one task can have port {port.published} in host mode here",
                cause=f"it is to have {spec.mode.slots} tasks, and this machine is one node",
                mend=f"publish it in ingress mode: -p {port.published}:{port.target}",
                field="ports",
            )


def check_clash(connection: sqlite3.Connection, spec: ServiceSpec, service_id: str = "") -> None:
    """Raise ConflictError where another service than `service_id` listens on a port of the spec."""
    for port in spec.ports:
        if port.mode != "ingress" or not port.published:
            continue
        row = connection.execute(
            "SELECT service.name, service.id FROM service_port JOIN service ON service.id = service_id "
            "WHERE published = ? AND protocol = ? AND service.id <> ? AND removing = 0 "
            "AND (host_ip = ? OR host_ip = '' OR ? = '')",
            (port.published, port.protocol, service_id, port.host_ip, port.host_ip),
        ).fetchone()
        if row is not None:
            raise ConflictError(
                f"port '{port.published}' is already in use by service '{row[0]}' ({row[1]}) as an ingress port",
                mend=f"use another port, or: sandbox service rm {row[0]}",
            )


def publish(paths: Paths, service: Service) -> tuple[ServicePort, ...]:
    """Have the service listen on its ports of mode ingress, and on no other; they come back as they are bound.

    Raises ConflictError, which names who has a port that is taken, and HostError: then nothing is changed.
    """
    try:
        return _publish(paths, service)
    except ConflictError:
        # by one that was removed just now, or that a killed process did not get to
        sweep(paths)
    return _publish(paths, service)


def publish_first(paths: Paths, service: Service) -> tuple[ServicePort, ...]:
    """As `publish`, for a service that is none yet; the caller is `giving_birth`. Raises as it does, where `sweep` may
    help too.
    """
    return _publish(paths, service)


def giving_birth(paths: Paths) -> AbstractContextManager[None]:
    """Meanwhile no `sweep` ends what carries the ports of a service that is none yet. Raises HostError."""
    return service_forwarders.giving_birth(paths)


def _publish(paths: Paths, service: Service) -> tuple[ServicePort, ...]:
    with open_state(paths, durable=False) as connection:
        wanted = () if service.removing else with_chosen(service.spec.ports, published_ports(connection, service.id))
    mappings = tuple(_mapping(port) for port in wanted)
    bound = service_ports.publish(paths, PublishedService(service.id, service.name, mappings, service.spec.affinity))
    ports = tuple(port._replace(published=one.host_port) for port, one in zip(wanted, bound, strict=True))
    with open_state(paths, durable=False) as connection, transaction(connection):
        if published_ports(connection, service.id) != tuple(sorted(ports, key=_order)):
            set_published_ports(connection, service.id, ports)
    return ports


def settle(paths: Paths, service: Service, tasks: Sequence[Task]) -> tuple[ServicePort, ...]:
    """Make ports, members and names of a service what its rows say; the ports as they are bound.

    Raises as `publish`.
    """
    settle_vips(paths, service)
    ports = publish(paths, service)
    if ports:
        # one that is withdrawn meanwhile, whose row says so first, is not to come back by what was read before
        with service_forwarders.alone(paths):
            _settle_members(paths, service, {task.container_id for task in tasks if task.is_member} - {""})
    return ports


def _settle_members(paths: Paths, service: Service, members: set[str]) -> None:
    with open_state(paths, durable=False) as connection:
        members = members - {task.container_id for task in tasks_of(connection, service.id) if not task.is_member}
    known = service_ports.look_at(paths, service.id)
    taking = {one.key for one in known.members if not one.is_leaving} if known is not None else set()
    # first those that come: where the last one goes there is another to go to
    for member in _members(paths, members - taking):
        service_ports.admit(paths, service.id, member)
    for container_id in taking - members:
        service_ports.withdraw(paths, service.id, container_id)


def withdraw(paths: Paths, service: Service, task: Task) -> None:
    """Have no more requests come to a task, by ports and by names, from when this returns; those that are open go on.

    Its row says before that it is no member any more. Raises HostError.
    """
    if not task.container_id:
        return
    with service_forwarders.alone(paths):
        service_ports.withdraw(paths, service.id, task.container_id)
    with open_state(paths, durable=False) as connection:
        container = load_container(connection, task.container_id)
    if container is not None:
        # one that does not run is in no name
        with suppress(SandboxError):
            call_monitor(paths, container, "withdraw")


def begin_drain(paths: Paths, service: Service, task: Task) -> Drain | None:
    """What is readable when a task that was withdrawn has answered its requests, to be closed; None where it has."""
    return service_ports.begin_drain(paths, service.id, task.container_id) if task.container_id else None


def remove(paths: Paths, service: Service) -> None:
    """Have the service listen on nothing any more, and its name mean nothing. Its row may be gone."""
    service_ports.remove(paths, service.id)
    announce_vips(paths)


def sweep(paths: Paths) -> None:
    """End what carries ports of services that are gone, or are being removed. Raises HostError."""
    with service_forwarders.without_births(paths):
        with open_state(paths, durable=False) as connection:
            services = all_services(connection, removing=True)
        kept = {service.id for service in services if not service.removing}
        for process in tuple(service_forwarders.find_forwarders(paths)):
            if process.service_id not in kept:
                service_ports.remove(paths, process.service_id)
                service_forwarders.kill_forwarder(process)
        going = [service for service in services if service.removing and has_listener(service)]
        with open_state(paths, durable=False) as connection, transaction(connection):
            for service in going:
                forget_ports(connection, service.id)
    # nor is there an address by their names
    announce_vips(paths)


def has_listener(service: Service) -> bool:
    """Whether something may listen for it."""
    return any(port.mode == "ingress" for port in service.spec.ports)


def forget_ports(connection: sqlite3.Connection, service_id: str) -> None:
    """Write down of a service that is being removed that nothing listens for it any more."""
    service = load_service(connection, service_id)
    if service is not None and service.removing:
        set_published_ports(connection, service_id, ())
        update_service(connection, service._replace(spec=service.spec._replace(ports=())))


def look_at(paths: Paths, service: Service) -> ServiceInfo | None:
    """What carries the ports now, with the open connections of each member; None where nothing does."""
    return service_ports.look_at(paths, service.id)


def _members(paths: Paths, container_ids: Collection[str]) -> list[Member]:
    found = []
    if container_ids:
        with open_state(paths, durable=False) as connection:
            for container_id in sorted(container_ids):
                container = load_container(connection, container_id)
                if container is not None and container.state.pid:
                    target = member_target(endpoints_of(connection, container_id))
                    state = container.state
                    found.append(Member(container_id, state.pid, state.pid_start, target))
    return found


def _mapping(port: ServicePort) -> PortMapping:
    return PortMapping(port.host_ip, port.published, port.target, "udp" if port.protocol == "udp" else "tcp")


def _order(port: ServicePort) -> tuple[int, str, str]:
    return port.published, port.protocol, port.host_ip
