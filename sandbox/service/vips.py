"""The single addresses of services, of endpoint mode vip: one on each of a service's networks, which its name means.

The rows are what was given; a file says the same to the keeper of the networks, who looks at it when containers come,
and when a name is asked for that it does not know. So a name means its address before the first task is there.
"""

from __future__ import annotations

import json
import os

from net.vips import Vip, write_vips
from sandbox.errors import HostError, NotFoundError
from sandbox.network.allocate import give_service_address
from sandbox.network.places import vips_path
from sandbox.network.service_forwarders import alone
from sandbox.network.store import find_network
from sandbox.state import open_state
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sandbox.network.record import Network
    from sandbox.paths import Paths
    from sandbox.service.record import Service


def settle_vips(paths: Paths, service: Service) -> None:
    """Have the service have an address on each of its networks, and the keeper know it. Raises HostError."""
    with open_state(paths, durable=False) as connection:
        wanted = {network.id: (network, names) for network, names in _wanted(connection, service)}
        given = dict(_given(connection, service.id))
        if {key: list(names) for key, (_, names) in wanted.items()} != given:
            with transaction(connection):
                _give(connection, service, wanted)
    announce_vips(paths)


def announce_vips(paths: Paths) -> None:
    """Have the keeper know all of them. Raises HostError."""
    with alone(paths):
        with open_state(paths, durable=False) as connection:
            rows = connection.execute(
                "SELECT service_id, network_id, address4, names FROM service_vip "
                "JOIN service ON service.id = service_id WHERE removing = 0"
            ).fetchall()
        try:
            os.makedirs(paths.router, mode=0o700, exist_ok=True)
            write_vips(
                vips_path(paths),
                [Vip(one, network, address, tuple(json.loads(names))) for one, network, address, names in rows],
            )
        except OSError as error:
            cause = f"{error.strerror}: {error.filename}"
            raise HostError("cannot make the addresses of services known", cause=cause) from error


def vips_of(connection: sqlite3.Connection, service_id: str) -> dict[str, str]:
    """The service's addresses, by the ids of its networks."""
    query = "SELECT network_id, address4 FROM service_vip WHERE service_id = ? ORDER BY network_id"
    return dict(connection.execute(query, (service_id,)).fetchall())


def all_vips(connection: sqlite3.Connection) -> dict[str, dict[str, str]]:
    """The addresses of all services with their prefixes, by the ids of service and network."""
    found: dict[str, dict[str, str]] = {}
    rows = connection.execute(
        "SELECT service_id, network_id, address4, subnet4 FROM service_vip JOIN network ON network.id = network_id "
        "ORDER BY network_id"
    )
    for service_id, network_id, address, subnet in rows:
        found.setdefault(service_id, {})[network_id] = f"{address}/{subnet.partition('/')[2]}"
    return found


def _wanted(connection: sqlite3.Connection, service: Service) -> Iterator[tuple[Network, tuple[str, ...]]]:
    if service.removing or service.spec.endpoint_mode != "vip":
        return
    for request in service.spec.request.endpoints or ():
        try:
            network = find_network(connection, request.network)
        except NotFoundError:
            continue  # its tasks say so
        if network.is_bridged and not network.is_predefined and network.subnet4:
            yield network, tuple(dict.fromkeys((service.name, *request.aliases)))


def _given(connection: sqlite3.Connection, service_id: str) -> list[tuple[str, list[str]]]:
    query = "SELECT network_id, names FROM service_vip WHERE service_id = ?"
    return [(network_id, json.loads(names)) for network_id, names in connection.execute(query, (service_id,))]


def _give(connection: sqlite3.Connection, service: Service, wanted: dict[str, tuple[Network, tuple[str, ...]]]) -> None:
    given = dict(_given(connection, service.id))
    for network_id in given.keys() - wanted.keys():
        connection.execute("DELETE FROM service_vip WHERE service_id = ? AND network_id = ?", (service.id, network_id))
    for network_id, (network, names) in wanted.items():
        text = json.dumps(names)
        if network_id in given:
            query = "UPDATE service_vip SET names = ? WHERE service_id = ? AND network_id = ?"
            connection.execute(query, (text, service.id, network_id))
        else:
            connection.execute(
                "INSERT INTO service_vip (service_id, network_id, address4, names) SELECT id, ?, ?, ? FROM service "
                "WHERE id = ?",
                (network_id, give_service_address(connection, network), text, service.id),
            )
