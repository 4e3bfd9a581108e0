"""Networks and endpoints in the database: rows to values and back, and how a person's word finds a network."""

from __future__ import annotations

import json

from sandbox.container.model.claims import claim_of
from sandbox.container.model.documents import from_json
from sandbox.container.model.record import ContainerState
from sandbox.errors import ConflictError, NotFoundError, SandboxError
from sandbox.events import emit
from sandbox.network.events import network_event
from sandbox.network.record import PREDEFINED, Endpoint, Network
from sandbox.record_copies import unreadable_error
from sandbox.state import IntegrityError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Sequence
    from typing import Any

_COLUMNS = Network._fields
#: kept as JSON
_DOCUMENTS = frozenset({"options", "labels", "auxiliary", "egress", "ipam_options"})
_NETWORK = ", ".join(f"network.{column}" for column in _COLUMNS)
_ENDPOINT = (
    "endpoint.container_id, endpoint.endpoint_id, endpoint.number, endpoint.interface, endpoint.address4,"
    " endpoint.address6, endpoint.mac, endpoint.aliases, endpoint.links, endpoint.gateway_priority,"
    " endpoint.link_local, endpoint.driver_options"
)
_HEX = frozenset("0123456789abcdef")
#: whoever types a network's name means no mode: nothing connects to these, and "nope" is no slip for "none"
_OFFERED_TO_NOBODY = ("host", "none")


def all_networks(connection: sqlite3.Connection) -> list[Network]:
    """Every network, by name."""
    rows = connection.execute(f"SELECT {_NETWORK} FROM network ORDER BY name")
    return [_network(row) for row in rows]


def find_network(connection: sqlite3.Connection, word: str, *, to_remove: bool = False) -> Network:
    """The network that `word` names: by id, by name, or by a prefix of ids that only one has, as Docker looks.

    Raises NotFoundError, with a name that may have been meant; SandboxError where the prefix fits several.
    """
    query = f"SELECT {_NETWORK} FROM network WHERE id = ?1 OR name = ?1 ORDER BY id = ?1 DESC"
    row = connection.execute(query, (word,)).fetchone()
    if row is None and word and _HEX.issuperset(word):
        query = f"SELECT {_NETWORK} FROM network WHERE id >= ? AND id < ? LIMIT 2"
        rows = connection.execute(query, (word, word + "g")).fetchall()
        if len(rows) > 1:
            raise SandboxError(
                f"network {word} is ambiguous ({len(rows)} matches found based on ID prefix)",
                mend="sandbox network ls --no-trunc; give more digits",
            )
        row = rows[0] if rows else None
    if row is None:
        raise _not_found(connection, word, _OFFERED_TO_NOBODY if not to_remove else PREDEFINED)
    return _network(row)


def _not_found(connection: sqlite3.Connection, word: str, never_meant: Collection[str]) -> NotFoundError:
    from sandbox.near_names import nearest  # only an error pays for it

    names = [str(name) for (name,) in connection.execute("SELECT name FROM network ORDER BY name")]
    near = nearest(word, [name for name in names if name not in never_meant])
    return NotFoundError(f"network {word} not found", mend="sandbox network ls", word=word, near=near)


def insert_network(connection: sqlite3.Connection, network: Network) -> None:
    """Record the network, within a transaction. Raises ConflictError where its name is taken."""
    values = [json.dumps(_plain(value)) if name in _DOCUMENTS else value for name, value in network._asdict().items()]
    marks = ", ".join("?" for _ in _COLUMNS)
    try:
        connection.execute(f"INSERT INTO network ({', '.join(_COLUMNS)}) VALUES ({marks})", values)
    except IntegrityError:
        raise name_conflict(network.name) from None


def name_conflict(name: str) -> ConflictError:
    return ConflictError(
        f"network with name {name} already exists",
        mend="choose another name" if name in PREDEFINED else f"sandbox network rm {name}",
    )


def _plain(value: Any) -> Any:  # Any: JSON
    if value is None:
        return None
    return list(value) if isinstance(value, tuple) else dict(value)


def set_subnet(connection: sqlite3.Connection, network: Network) -> None:
    """Write the addresses that a network has, which one without a subnet gets later."""
    connection.execute(
        "UPDATE network SET subnet4 = ?, gateway4 = ? WHERE id = ?", (network.subnet4, network.gateway4, network.id)
    )


def delete_network(connection: sqlite3.Connection, network_id: str) -> None:
    """Forget the network, within a transaction; nobody may be on it."""
    connection.execute("DELETE FROM network WHERE id = ?", (network_id,))


def endpoints_of(connection: sqlite3.Connection, container_id: str) -> tuple[Endpoint, ...]:
    """Where the container is, eth0 first; empty where it does not run."""
    rows = connection.execute(
        f"SELECT {_ENDPOINT}, {_NETWORK} FROM endpoint JOIN network ON network.id = endpoint.network_id"
        " WHERE container_id = ? ORDER BY interface",
        (container_id,),
    )
    return _with_default_route([_endpoint(row) for row in rows])


def endpoints_on(connection: sqlite3.Connection, network_id: str) -> tuple[Endpoint, ...]:
    """Who is on the network: containers whose monitor lives, in the order of their numbers."""
    rows = connection.execute(
        f"SELECT container.state, {_ENDPOINT}, {_NETWORK} FROM endpoint"
        " JOIN network ON network.id = endpoint.network_id JOIN container ON container.id = endpoint.container_id"
        " WHERE network_id = ? ORDER BY number",
        (network_id,),
    ).fetchall()
    return tuple(_endpoint(row) for state, *row in rows if _is_held(state))


def containers_without_wires(connection: sqlite3.Connection, network: Network) -> dict[str, str]:
    """Names, by id, of the containers that are on the host's network, or on none, while their monitors live."""
    rows = connection.execute(
        "SELECT id, name, state FROM container WHERE json_extract(config, '$.network') = ? ORDER BY created_ns",
        (network.name,),
    ).fetchall()
    return {container_id: name for container_id, name, state in rows if _is_held(state)}


def _is_held(state: str) -> bool:
    return claim_of(from_json(ContainerState, state)).is_alive


def insert_endpoint(connection: sqlite3.Connection, endpoint: Endpoint) -> None:
    """Record the endpoint, within a transaction that has seen its addresses free."""
    connection.execute(
        "INSERT INTO endpoint (container_id, network_id, endpoint_id, number, interface, address4, address6, mac,"
        " aliases, links, gateway_priority, link_local, driver_options) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            endpoint.container_id, endpoint.network.id, endpoint.id, endpoint.number,
            int(endpoint.interface.removeprefix("eth")), endpoint.address4 or None, endpoint.address6 or None,
            endpoint.mac, json.dumps(endpoint.aliases), json.dumps(endpoint.links), endpoint.gateway_priority,
            json.dumps(endpoint.link_local), json.dumps(endpoint.driver_options),
        ),
    )  # fmt: skip


def tell_network(connection: sqlite3.Connection, action: str, network: Network, container_id: str) -> None:
    """Keep that a container came or went, within the transaction in which it did."""
    emit(connection, network_event(action, network, container_id))


def _with_default_route(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """The way out is where Docker has it: by the priority asked for, then by the network's name; never an internal
    network.
    """
    ways = [endpoint for endpoint in endpoints if not endpoint.network.internal]
    chosen = min(ways, key=lambda one: (-one.gateway_priority, one.network.name), default=None)
    return tuple(endpoint._replace(default_route=endpoint is chosen) for endpoint in endpoints)


def _network(row: Iterable[Any]) -> Network:  # Any: a database row
    values = dict(zip(_COLUMNS, row, strict=True))
    try:
        for name in _DOCUMENTS:
            values[name] = json.loads(values[name])
    except ValueError as error:
        raise unreadable_error("network", values["name"], error) from error
    values["egress"] = tuple(values["egress"])
    for name in ("chosen4", "chosen6", "internal", "attachable"):
        values[name] = bool(values[name])
    return Network(**values)


def _endpoint(row: Sequence[Any]) -> Endpoint:
    container_id, endpoint_id, number, interface, address4, address6, mac, aliases, links, priority = row[:10]
    link_local, options = row[10:12]
    return Endpoint(
        container_id, _network(row[12:]), endpoint_id, number, f"eth{interface}", address4 or "", address6 or "", mac,
        tuple(json.loads(aliases)), tuple(json.loads(links)), priority, False, tuple(json.loads(link_local)),
        tuple((key, value) for key, value in json.loads(options)),
    )  # fmt: skip
