"""Networks removed: one by its name, or all that nobody uses."""

from __future__ import annotations

import json

from sandbox.container.model.endpoint_rows import free_endpoints
from sandbox.errors import ConflictError, ForbiddenError, NotFoundError
from sandbox.events import Event, emit
from sandbox.network.events import network_event
from sandbox.network.store import all_networks, delete_network, endpoints_on, find_network
from sandbox.record_copies import copy_path, data_root_of, remove_copy
from sandbox.state import open_state
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from sandbox.network.record import Network
    from sandbox.paths import Paths


def remove_network(connection: sqlite3.Connection, word: str) -> None:
    """Remove the network. Raises NotFoundError; ConflictError for one that is always there, or is in use."""
    with transaction(connection):
        network = find_network(connection, word, to_remove=True)
        if network.is_predefined:
            raise ForbiddenError(
                f"{network.name} is a pre-defined network and cannot be removed", mend="sandbox network ls"
            )
        _refuse_used(connection, network)
        # of those that died with their monitor
        for (container_id,) in connection.execute(
            "SELECT container_id FROM endpoint WHERE network_id = ?", (network.id,)
        ).fetchall():
            free_endpoints(connection, container_id, network.id)
        path = copy_path(data_root_of(connection), "network", network.id)
        remove_copy(path)
        delete_network(connection, network.id)
        emit(connection, network_event("destroy", network))


def _refuse_used(connection: sqlite3.Connection, network: Network) -> None:
    users = endpoints_on(connection, network.id)
    if not users:
        return
    names = dict(connection.execute("SELECT id, name FROM container").fetchall())
    listed = ", ".join(f'name:"{names[one.container_id]}" id:"{one.container_id[:12]}"' for one in users)
    first = names[users[0].container_id]
    raise ForbiddenError(
        f"error while removing network: network {network.name} has active endpoints ({listed})",
        mend=f"sandbox network disconnect {network.name} {first}"
        if len(users) == 1
        else f"sandbox rm -f {' '.join(names[one.container_id] for one in users)}",
    )


def used_networks(connection: sqlite3.Connection) -> set[str]:
    """The names of the networks that a container is on, or is to be on when it starts."""
    used = {
        str(name)
        for (name,) in connection.execute(
            "SELECT network.name FROM endpoint JOIN network ON network.id = endpoint.network_id"
        )
    }
    for (text,) in connection.execute("SELECT json_extract(config, '$.endpoints') FROM container"):
        used.update(endpoint["network"] for endpoint in json.loads(text or "[]"))
    return used


def prune_networks(paths: Paths, accept: Callable[[Network], bool]) -> tuple[str, ...]:
    """Remove the networks that no container names and that `accept` takes; the names of those that went."""
    names: list[str] = []
    with open_state(paths, frees=True) as connection:
        used = used_networks(connection)
        for network in all_networks(connection):
            if network.is_predefined or network.name in used or not accept(network):
                continue
            try:
                remove_network(connection, network.id)
            except (ConflictError, NotFoundError):
                continue  # used, or removed by somebody, meanwhile
            names.append(network.name)
        with transaction(connection):
            emit(connection, Event("network", "prune", "", {"reclaimed": "0"}))
    return tuple(names)
