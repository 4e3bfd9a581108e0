"""A container as the next command finds it: looked up by whatever the person typed, its record mended first."""

from __future__ import annotations

from sandbox.container.life.reconcile import reconcile, reconcile_all
from sandbox.container.model.store import all_containers, find_container
from sandbox.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


def open_container(connection: sqlite3.Connection, paths: Paths, word: str) -> Container:
    """The container that `word` names, as it truly is. Raises NotFoundError."""
    found = reconcile(connection, paths, find_container(connection, word))
    if found is None:
        raise NotFoundError(f"No such container: {word}", cause="it was to be removed when it ended (--rm), and has")
    return found


def present_containers(connection: sqlite3.Connection, paths: Paths) -> list[Container]:
    """Every container as it truly is, the newest first."""
    return reconcile_all(connection, paths, all_containers(connection))
