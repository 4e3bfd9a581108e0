"""The ports of services as rows: what each listens on, with the ports that were chosen where none was named."""

from __future__ import annotations

from sandbox.service.spec import ServicePort

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from sandbox.service.spec import ServiceSpec


def published_ports(connection: sqlite3.Connection, service_id: str) -> tuple[ServicePort, ...]:
    """What the service listens on, none of them 0: before it was first published, nothing."""
    rows = connection.execute(
        "SELECT target, published, protocol, 'ingress', host_ip FROM service_port WHERE service_id = ? "
        "ORDER BY published, protocol, host_ip",
        (service_id,),
    )
    return tuple(ServicePort(*row) for row in rows)


def all_published(connection: sqlite3.Connection) -> dict[str, tuple[ServicePort, ...]]:
    """What each service listens on, by its id."""
    ids = [str(row[0]) for row in connection.execute("SELECT DISTINCT service_id FROM service_port")]
    return {service_id: published_ports(connection, service_id) for service_id in ids}


def set_published_ports(connection: sqlite3.Connection, service_id: str, ports: Sequence[ServicePort]) -> None:
    """Write down what it listens on. Nothing is written for a service that is gone."""
    connection.execute("DELETE FROM service_port WHERE service_id = ?", (service_id,))
    for port in ports:
        # a row that another one left is of a service that does not listen any more: this one does
        connection.execute(
            "INSERT OR REPLACE INTO service_port (service_id, protocol, host_ip, published, target) "
            "SELECT id, ?, ?, ?, ? FROM service WHERE id = ?",
            (port.protocol, port.host_ip, port.published, port.target, service_id),
        )


def with_chosen(ports: Sequence[ServicePort], known: Sequence[ServicePort]) -> tuple[ServicePort, ...]:
    """The ingress ports of a spec, those that are to be chosen as they were chosen before."""
    left = list(known)
    found = []
    for port in ports:
        if port.mode != "ingress":
            continue
        before = next((one for one in left if _is_chosen_for(port, one)), None)
        if before is not None:
            left.remove(before)
            port = port._replace(published=before.published)  # the same one, known better
        found.append(port)
    return tuple(found)


def ports_in_force(spec: ServiceSpec, known: Sequence[ServicePort]) -> tuple[ServicePort, ...]:
    """The ports of a spec in their order, those that were chosen with their numbers."""
    chosen = iter(with_chosen(spec.ports, known))
    return tuple(next(chosen) if port.mode == "ingress" else port for port in spec.ports)


def _is_chosen_for(wanted: ServicePort, known: ServicePort) -> bool:
    same = (wanted.target, wanted.protocol, wanted.host_ip) == (known.target, known.protocol, known.host_ip)
    return same and not wanted.published
