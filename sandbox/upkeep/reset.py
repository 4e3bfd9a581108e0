"""`system reset`: everything of a data root stopped and removed, also where its database is lost or damaged.

First the containers end. Then all that is stored is set aside, the database before the rest: from then on the store is
as new, or, for a reset that is killed in between, one without a database, which no command adds to. What was set aside
is removed as root of the user namespace, for most of it belongs to subordinate ids; the next reset goes on with it.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from sandbox.container.life.reconcile import reconcile
from sandbox.container.life.stop import end_monitor, is_active
from sandbox.container.model.runtime_files import remove_runtime_directory
from sandbox.container.model.store import all_containers
from sandbox.errors import HostError, SandboxError
from sandbox.image.recording import images_lock
from sandbox.reconciler_calls import end_reconciler
from sandbox.record_copies import describe_store
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.state import DatabaseError, connect_state
from sandbox.transactions import transaction
from sandbox.upkeep.forwarders import end_forwarders
from sandbox.upkeep.keepers import end_keepers
from sandbox.upkeep.processes import end_process, find_processes
from sandbox.upkeep.sweep import RESET, remove_measured
from storage.errors import StorageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths

_DATABASE = ("state.db", "state.db-wal", "state.db-shm")


def describe_contents(paths: Paths) -> str:
    """What a reset would remove, in words; "" for an empty store."""
    return describe_store(paths.data_root)


def reset_store(paths: Paths, note: Callable[[str], None]) -> int:
    """Stop and remove everything; the bytes that this freed. `note` is told what is waited for.

    Raises SandboxError where something could not be ended or removed; a reset again goes on from there.
    """
    # on a full disk it is the room for what follows
    with suppress(OSError):
        os.unlink(paths.reserve)
    with _no_image_made(paths, note):
        _forget_services(paths)
        _end_recorded(paths)
        _end_processes(paths)
        place = f"{paths.data_root}/{RESET}{os.getpid()}"
        os.makedirs(place, mode=0o700, exist_ok=True)
        held = _set_aside(paths, place, _DATABASE)
        # what was started meanwhile; nothing more is without a database
        _end_processes(paths)
        end_forwarders(paths)
        end_keepers(paths)
        held += _set_aside(paths, place, os.listdir(paths.data_root))
    _remove_runtime(paths)
    places = [f"{paths.data_root}/{name}" for name in os.listdir(paths.data_root) if name.startswith(RESET)]
    freed = _remove(sorted({*places, *held}))
    with suppress(OSError):
        os.rmdir(paths.data_root)
    return freed


@contextmanager
def _no_image_made(paths: Paths, note: Callable[[str], None]) -> Iterator[None]:
    with images_lock(paths, exclusive=True, wait=False) as held:
        if held:
            yield
            return
    note("waiting for what is being pulled or built")
    with images_lock(paths, exclusive=True):
        yield


def _forget_services(paths: Paths) -> None:
    """Nobody is to start others in the place of containers that end."""
    end_reconciler(paths)
    if os.path.exists(paths.database):
        with suppress(SandboxError, DatabaseError), _connected(paths) as connection, transaction(connection):
            connection.execute("DELETE FROM service")


def _end_recorded(paths: Paths) -> None:
    """End what runs by its record, which leaves nothing behind; a database that cannot be read ends nothing."""
    for container in _recorded(paths):
        if is_active(container) or container.state.monitor_pid:
            end_monitor(paths, container)
            with suppress(SandboxError, DatabaseError), _connected(paths) as connection:
                # and what it leaves, its group of processes say
                reconcile(connection, paths, container)


@contextmanager
def _connected(paths: Paths) -> Iterator[sqlite3.Connection]:
    connection = connect_state(paths, checked=False)
    try:
        yield connection
    finally:
        connection.close()


def _recorded(paths: Paths) -> list[Container]:
    if not os.path.exists(paths.database):
        return []
    try:
        with _connected(paths) as connection:
            return all_containers(connection)
    except (SandboxError, DatabaseError):
        return []


def _end_processes(paths: Paths) -> None:
    """End what runs and no record names; first processes end with their monitors."""
    for process in sorted(find_processes(paths), key=lambda process: not process.is_monitor):
        try:
            end_process(process, at_once=True)
        except SandboxError as error:
            what = f"cannot end container {process.container[:12]}, of process {process.claim.pid}: {error.message}"
            raise SandboxError(what, cause=error.cause, mend=error.mend) from error


def _set_aside(paths: Paths, place: str, names: Iterable[str]) -> list[str]:
    """Move what has these names out of the way; the paths of what cannot be moved, a file system of its own say."""
    held = []
    for name in names:
        path = f"{paths.data_root}/{name}"
        if name.startswith(RESET):
            continue
        try:
            os.rename(path, f"{place}/{name}")
        except FileNotFoundError:
            continue
        except OSError:
            held.append(path)
    return held


def _remove_runtime(paths: Paths) -> None:
    root = os.path.dirname(paths.container_runtime("x"))
    with suppress(FileNotFoundError):
        for name in os.listdir(root):
            if name.startswith(paths.runtime_prefix):
                remove_runtime_directory(f"{root}/{name}")
    for directory in (root, paths.runtime_root):
        # another data root may have something there
        with suppress(OSError):
            os.rmdir(directory)


def _remove(places: list[str]) -> int:
    try:
        freed = call_in_user_namespace(remove_measured, places)
    except HostError as error:
        # without the namespace what is the user's own goes at least
        try:
            return remove_measured(places)
        except StorageError as left:
            raise HostError(
                f"what belongs to subordinate ids could not be removed: {left.message}",
                cause=f"{error.message}{f' ({error.cause})' if error.cause else ''}",
                mend=f"{error.mend or 'sandbox doctor'}; then sandbox system reset",
            ) from error
    assert isinstance(freed, int)
    return freed
