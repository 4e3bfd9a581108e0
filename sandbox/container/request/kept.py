"""What was asked for, as it is kept in the container's record."""

from __future__ import annotations

from sandbox.container.model.documents import from_json
from sandbox.container.request.request import ContainerRequest
from sandbox.record_copies import unreadable_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3


def load_request(connection: sqlite3.Connection, container_id: str) -> ContainerRequest | None:
    """What was asked for when the container was made; None for one of an older program. Raises HostError."""
    row = connection.execute("SELECT name, request FROM container WHERE id = ?", (container_id,)).fetchone()
    return None if row is None else read_request(*row)


def read_request(name: str, text: str) -> ContainerRequest | None:
    """The request kept as `text`; None for "". Raises HostError, which names the container."""
    if not text:
        return None
    try:
        return from_json(ContainerRequest, text)
    except (ValueError, TypeError, AttributeError) as error:
        raise unreadable_error("container", name, error) from error
