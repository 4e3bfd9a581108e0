"""A container's places on networks, given back when its run ends."""

from __future__ import annotations

from sandbox.events import Event, emit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3


def free_endpoints(connection: sqlite3.Connection, container_id: str, network_id: str = "") -> bool:
    """Take the container off its networks, or off that one, within a transaction; whether it was on any."""
    rows = connection.execute(
        "SELECT network.id, network.name, network.driver FROM endpoint JOIN network ON network.id = endpoint.network_id"
        " WHERE container_id = ?1 AND (?2 = '' OR network_id = ?2) ORDER BY interface",
        (container_id, network_id),
    ).fetchall()
    for network, name, driver in rows:
        connection.execute("DELETE FROM endpoint WHERE container_id = ? AND network_id = ?", (container_id, network))
        emit(
            connection,
            Event("network", "disconnect", network, {"container": container_id, "name": name, "type": driver}),
        )
    return bool(rows)
