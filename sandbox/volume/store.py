"""Volumes in the database, as `sandbox volume` shows, makes and removes them."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress

from sandbox.container.model.store import all_containers
from sandbox.errors import ConflictError, NotFoundError, SandboxError, translated
from sandbox.events import emit
from sandbox.named_tuple import NamedTuple
from sandbox.random_ids import new_container_id
from sandbox.record_copies import RECORD, keep_volume_copy, read_copy
from sandbox.runtime.owned_trees import remove_files
from sandbox.state import DatabaseError, open_state
from sandbox.transactions import transaction
from sandbox.volume.events import volume_event
from storage.volumes import VolumeStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths

#: Docker's mark of a volume that was made without a name
ANONYMOUS_LABEL = "com.docker.volume.anonymous"
#: how the directory of one that is being removed begins, which no volume's name does
GONE = ".gone-"


_COLUMNS = "name, created_ns, labels, anonymous, options"


class Volume(NamedTuple):
    """One row of the database."""

    name: str
    created_ns: int
    labels: dict[str, str]
    anonymous: bool
    #: of the driver
    options: dict[str, str]


def list_volumes(connection: sqlite3.Connection) -> list[Volume]:
    """Every volume, by name."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM volume ORDER BY name")
    return [_volume(*row) for row in rows]


def get_volume(connection: sqlite3.Connection, name: str) -> Volume:
    """The volume of this name. Raises NotFoundError."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM volume WHERE name = ?", (name,)).fetchone()
    if row is None:
        from sandbox.near_names import nearest  # only an error pays for it

        near = nearest(name, [volume.name for volume in list_volumes(connection)])
        raise NotFoundError(f"get {name}: no such volume", mend="sandbox volume ls", word=name, near=near)
    return _volume(*row)


def create_volume(connection: sqlite3.Connection, paths: Paths, wanted: Volume) -> str:
    """Make the volume where there is none of its name, and return that; without a name it is one of nobody's. One that
    is there stays as it is.

    As one that a container makes, it takes what the image has where it is first mounted. Raises SandboxError.
    """
    name = wanted.name or new_container_id()
    labels = {**wanted.labels, **({} if wanted.name else {ANONYMOUS_LABEL: ""})}
    with transaction(connection):
        known = connection.execute("SELECT 1 FROM volume WHERE name = ?", (name,)).fetchone()
        if known is None:
            with translated(SandboxError, "cannot make a volume"):
                VolumeStore(paths.volumes).create(name, to_fill=True)
            insert_volume(connection, wanted._replace(name=name, labels=labels, anonymous=not wanted.name))
    if known is None:
        keep_volume_copy(connection, name)
    return name


def insert_volume(connection: sqlite3.Connection, volume: Volume) -> None:
    """Record the volume; within a transaction, in which its directory was made."""
    values = (volume.name, time.time_ns(), json.dumps(volume.labels), int(volume.anonymous), json.dumps(volume.options))
    connection.execute(f"INSERT INTO volume ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)", values)
    emit(connection, volume_event("create", volume.name))


def users_of_volumes(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """For each volume that a container mounts, whether that runs or not, the containers' ids."""
    return mounts_of(all_containers(connection))


def mounts_of(containers: Iterable[Container]) -> dict[str, list[str]]:
    """For each volume that one of `containers` mounts, their ids."""
    users: dict[str, list[str]] = {}
    for container in containers:
        for name in {mount.source for mount in container.config.mounts if mount.kind == "volume"}:
            users.setdefault(name, []).append(container.id)
    return users


def remove_volume(paths: Paths, name: str) -> None:
    """Remove the volume with its data. Raises NotFoundError; ConflictError where a container mounts it.

    The data goes aside, then the row, and only then is anything removed: what a SIGKILL leaves in between is put back
    by who looks for it (`put_back_unremoved`), for nothing of it is missing.
    """
    # what cannot be the name of a volume is that of none
    with translated(NotFoundError, f"cannot remove volume {name}"):
        directory = VolumeStore(paths.volumes).directory(name)
    aside = f"{paths.volumes}/{GONE}{name}-{os.getpid()}"
    try:
        # closed before anything forks
        with open_state(paths, frees=True) as connection, transaction(connection):
            get_volume(connection, name)
            users = users_of_volumes(connection).get(name)
            if users:
                raise ConflictError(
                    f"remove {name}: volume is in use - [{', '.join(users)}]",
                    mend=f"sandbox rm -f {' '.join(user[:12] for user in users)}",
                )
            connection.execute("DELETE FROM volume WHERE name = ?", (name,))
            emit(connection, volume_event("destroy", name))
            try:
                os.rename(directory, aside)
            except FileNotFoundError:
                return  # somebody has removed it: the record is all there is
            except OSError as error:
                raise SandboxError(f"cannot remove volume {name}", cause=error.strerror or str(error)) from error
    except DatabaseError:
        # a full disk: the record stays, and so do the data
        with suppress(OSError):
            os.rename(aside, directory)
        raise
    remove_files(aside)


def find_unremoved(connection: sqlite3.Connection, paths: Paths) -> dict[str, str]:
    """What removals had set aside when they were killed before the record went, by the volume's name. Within a
    transaction: who removes holds one meanwhile.
    """
    found: dict[str, str] = {}
    try:
        names = os.listdir(paths.volumes)
    except FileNotFoundError:
        return found
    for entry in names:
        name = entry.removeprefix(GONE).rpartition("-")[0]
        if not entry.startswith(GONE) or os.path.lexists(f"{paths.volumes}/{name}"):
            continue
        row = connection.execute("SELECT created_ns FROM volume WHERE name = ?", (name,)).fetchone()
        copy = read_copy(f"{paths.volumes}/{entry}/{RECORD}")
        # of this very volume, and not of one that had its name before
        if row is not None and copy is not None and copy.get("created_ns") == row[0]:
            found[name] = f"{paths.volumes}/{entry}"
    return found


def put_back_unremoved(connection: sqlite3.Connection, paths: Paths) -> None:
    """Put back what `find_unremoved` finds; within a transaction."""
    for name, aside in find_unremoved(connection, paths).items():
        os.rename(aside, f"{paths.volumes}/{name}")


def _volume(name: str, created_ns: int, labels: str, anonymous: int, options: str) -> Volume:
    return Volume(name, created_ns, json.loads(labels), bool(anonymous), json.loads(options))
