"""The database as a monitor writes it."""

from __future__ import annotations

import os
from contextlib import suppress

from sandbox.container.model.claims import LostClaimError, as_holder, own_claim, with_claim
from sandbox.container.model.runtime_files import remove_runtime_files
from sandbox.container.model.store import load_container, update_state
from sandbox.reconciler_calls import call_reconciler
from sandbox.state import WRITER_PATIENCE_SECONDS, DatabaseError, connect_state, is_busy
from storage.waits import carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection
    from typing import Any

    from sandbox.container.model.record import Container, ContainerState
    from sandbox.container.monitor.checkpoint import Checkpoints
    from sandbox.container.monitor.roles import Note
    from sandbox.paths import Paths
    from sandbox.values import RestartPolicy
    from storage.waits import Steps

#: the loop of a monitor stands still meanwhile
_HURRY_SECONDS = 0.02
_WRITES_BETWEEN_CHECKPOINTS = 64


def _same(state: ContainerState) -> ContainerState:
    return state


class DatabaseJournal:
    """One container's record, written only as long as this process holds its claim.

    The connection is opened at the first word, so never before the monitor's own fork. What it writes need not survive
    a power failure: that ends the container anyway.
    """

    def __init__(self, paths: Paths, container_id: str) -> None:
        self._paths = paths
        self._container_id = container_id
        self._connection: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None
        self._hurries = False
        self._writes = 0
        #: of files of the connection of an interpreter that was there before
        self._left: tuple[int, ...] = ()
        #: made when the first one is due
        self.checkpoints: Checkpoints | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        if self._connection is not None and self._was_replaced():
            self._connection.close()
            self._connection = None
        if self._connection is None:
            # whether the database knows all of the store is for commands to ask; this container goes on
            patience = _HURRY_SECONDS if self._hurries else WRITER_PATIENCE_SECONDS
            self._connection = connect_state(self._paths, durable=False, checked=False, patience_seconds=patience)
            self._file = os.stat(self._paths.database)
            self._set_up()
        return self._connection

    def _was_replaced(self) -> bool:
        """Whether another database is in the place of the one that is open: a repair made it from the copies."""
        try:
            present = os.stat(self._paths.database)
        except FileNotFoundError:
            return False
        return self._file is not None and not os.path.samestat(present, self._file) and present.st_size > 0

    def hurry(self) -> None:
        """From now on wait for another writer no longer than for a short write: raises DatabaseError then."""
        self._hurries = True
        self._set_up()

    def _set_up(self) -> None:
        if self._connection is not None and self._hurries:
            self._connection.execute(f"PRAGMA busy_timeout = {_HURRY_SECONDS * 1000:.0f}")
            self._connection.execute("PRAGMA wal_autocheckpoint = 0")

    def __getstate__(self) -> dict[str, Any]:  # Any: pickle's own
        """All but the connection, whose files stay open while the monitor rests: else commands would find themselves
        the last users of the database, and write all of it back each time. Raises DatabaseError, HostError.
        """
        if self.connection.in_transaction:
            raise TypeError("a transaction is under way")
        path = os.path.realpath(self._paths.database)
        return {**self.__dict__, "_connection": None, "_left": _open_at((path, f"{path}-wal", f"{path}-shm"))}

    def go_on(self) -> None:
        """In a new interpreter, before anything is opened there: closing a file gives up all locks on it, fcntl(2)."""
        for fd in self._left:
            os.close(fd)
        self._left = ()

    def load(self) -> Container | None:
        return load_container(self.connection, self._container_id)

    def restart_policy(self) -> RestartPolicy | None:
        """As it is kept now; None where the container is gone."""
        container = self.load()
        return container.config.restart if container is not None else None

    def update(self, *notes: Note) -> ContainerState | None:
        """Write what `notes` make of the state and tell; None where the record is gone, or is another process's now."""
        try:
            kept = update_state(self.connection, self._container_id, as_holder(own_claim(), _same), *notes)
        except LostClaimError:
            return None
        if self._hurries:
            self._count()
        if kept is not None and self._is_task():
            call_reconciler(self._paths)
        return kept

    def _is_task(self) -> bool:
        """Whether the container is a service's, which is to be looked at when it has changed."""
        query = "SELECT 1 FROM task WHERE container_id = ? AND container_id <> ''"
        return self.connection.execute(query, (self._container_id,)).fetchone() is not None

    def _count(self) -> None:
        self._writes += 1
        if self._writes % _WRITES_BETWEEN_CHECKPOINTS == 0:
            from sandbox.container.monitor.checkpoint import Checkpoints  # few containers live to see one

            self.checkpoints = self.checkpoints or Checkpoints(self._paths.database)
            self.checkpoints.begin()

    def end(self, *notes: Note) -> ContainerState | None:
        """`update` for the last time: the socket and the mount points go before anybody can claim the container and
        make his own.
        """

        def last(state: ContainerState) -> ContainerState:
            remove_runtime_files(self._paths, self._container_id, state)
            return state

        return self.update(last, *notes)

    def remove(self) -> None:
        """Remove the container; nothing happens where it is gone, or another's."""
        carry_out(self.remove_steps())

    def remove_steps(self, *notes: Note) -> Steps[None]:
        """Remove the container, its files and its anonymous volumes; nothing happens where it is gone, or another's.

        `notes` say how it ended, for who reads the record meanwhile.
        """
        from sandbox.container.monitor.discard import discard_steps

        container = self.load()
        if container is None:
            return
        claim = own_claim()

        def removing(state: ContainerState) -> ContainerState:
            return with_claim(state._replace(status="removing"), claim)

        try:
            # at a second try the record may have them
            if self.update(*(notes if container.state.status != "removing" else ()), removing) is None:
                return
        except DatabaseError as error:
            # on a full disk the files go first, which makes the room for the rest
            if is_busy(error):
                raise
        yield from discard_steps(self.connection, self._paths, container)


def _open_at(paths: Collection[str]) -> tuple[int, ...]:
    """The descriptors of this process that are open on one of these files."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        # the descriptor of the listing itself is gone
        with suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{name}") in paths:
                found.append(int(name))
    return tuple(found)
