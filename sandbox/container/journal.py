"""The database as a monitor writes it."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from sandbox.container.store import load_container, update_state
from sandbox.state import DatabaseError, connect_state

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from sandbox.container.record import Container, ContainerState
    from sandbox.paths import Paths


class DatabaseJournal:
    """One container's record. The connection is opened at the first word, so never before the monitor's own fork.

    What it writes need not survive a power failure: that ends the container anyway.
    """

    def __init__(self, paths: Paths, container_id: str) -> None:
        self._paths = paths
        self._container_id = container_id
        self._connection: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        if self._connection is not None and self._was_replaced():
            self._connection.close()
            self._connection = None
        if self._connection is None:
            # whether the database knows all of the store is for commands to ask; this container goes on
            self._connection = connect_state(self._paths, durable=False, checked=False)
            self._file = os.stat(self._paths.database)
        return self._connection

    def _was_replaced(self) -> bool:
        """Whether another database is in the place of the one that is open: a repair made it from the copies."""
        try:
            present = os.stat(self._paths.database)
        except FileNotFoundError:
            return False
        return self._file is not None and not os.path.samestat(present, self._file) and present.st_size > 0

    def load(self) -> Container | None:
        return load_container(self.connection, self._container_id)

    def update(self, change: Callable[[ContainerState], ContainerState]) -> ContainerState | None:
        return update_state(self.connection, self._container_id, change)

    def remove(self) -> None:
        """Remove the container, its files and its anonymous volumes; nothing happens where it is gone."""
        from sandbox.container.remove import discard_container

        container = self.load()
        if container is not None:
            # on a full disk the files go first, which makes the room for the rest
            with suppress(DatabaseError):
                self.update(lambda state: state._replace(status="removing"))
            discard_container(self.connection, self._paths, container)
