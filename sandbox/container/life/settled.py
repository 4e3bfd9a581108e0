"""A container that nobody is starting just now: what is changed of it is then either what runs, or what will."""

from __future__ import annotations

from sandbox.container.life.lookup import open_container
from sandbox.container.life.stop import is_active
from sandbox.container.monitor.reach import wait_monitor
from sandbox.errors import ConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


def open_settled(connection: sqlite3.Connection, paths: Paths, word: str, verb: str) -> Container:
    """The container that `word` names, once its start, where one is under way, has succeeded or failed.

    Raises NotFoundError; ConflictError where it is being removed, which says that it is no time to `verb`.
    """
    container = open_container(connection, paths, word)
    while container.state.monitor_pid and not is_active(container):
        if container.state.status == "removing":
            raise ConflictError(f'Container {container.id} is marked for removal and cannot be "{verb}".')
        wait_monitor(paths, container)
        container = open_container(connection, paths, container.id)
    return container
