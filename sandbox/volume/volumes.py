"""Volumes as containers use them: made when first named; those without a name go with their container.

The database says which there are, `storage.volumes` keeps their files.
"""

from __future__ import annotations

import json
import os

from sandbox.errors import SandboxError, StartError, translated
from sandbox.events import emit
from sandbox.named_tuple import NamedTuple
from sandbox.random_ids import new_container_id
from sandbox.record_copies import keep_volume_copy
from sandbox.transactions import transaction
from sandbox.volume.events import volume_event
from storage.volumes import VolumeStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths
    from sandbox.values import MountPoint


def make_volumes(
    connection: sqlite3.Connection, paths: Paths, mounts: tuple[MountPoint, ...]
) -> tuple[MountPoint, ...]:
    """`mounts` with every volume in existence: unnamed ones get a name of 64 digits. Existing ones are kept."""
    return tuple(_make_volume(connection, paths, mount) if mount.kind == "volume" else mount for mount in mounts)


def _make_volume(connection: sqlite3.Connection, paths: Paths, mount: MountPoint) -> MountPoint:
    from sandbox.volume.store import Volume, insert_volume, put_back_unremoved

    # what `--volumes-from` takes over has its name, and none that a person gave it
    anonymous = mount.anonymous or not mount.source
    name = mount.source or new_container_id()
    options = dict(mount.volume_options)
    with transaction(connection):
        known = connection.execute("SELECT options FROM volume WHERE name = ?", (name,)).fetchone()
        if known is not None:
            # one that is there keeps the options it was made with
            options = json.loads(known[0])
            if not os.path.lexists(f"{paths.volumes}/{name}"):
                put_back_unremoved(connection, paths)
        else:
            with translated(StartError, "cannot make a volume"):
                VolumeStore(paths.volumes).create(name, to_fill=mount.copy_up)
            insert_volume(connection, Volume(name, 0, dict(mount.volume_labels), anonymous, options))
    if known is None:
        keep_volume_copy(connection, name)
    return mount._replace(source=name, anonymous=anonymous, volume_options=tuple(options.items()))


def volume_data(paths: Paths, name: str) -> str:
    """The directory that is mounted. SandboxError for what cannot be a volume's name."""
    with translated(SandboxError, "cannot find a volume"):
        return VolumeStore(paths.volumes).data(name)


def fill_new_volumes(paths: Paths, mounts: tuple[MountPoint, ...], root: str) -> None:
    """Fill those that wait for it with what the tree at `root` has where they are mounted; in the monitor.

    Raises StartError.
    """
    store = VolumeStore(paths.volumes)
    for mount in mounts:
        # a part of a volume says nothing of the whole
        if mount.kind != "volume" or mount.subpath or not mount.copy_up:
            continue
        with translated(StartError, f"cannot fill the volume {mount.source}"):
            if store.waits_to_be_filled(mount.source):
                _fill(store, mount, root)


def _fill(store: VolumeStore, mount: MountPoint, root: str) -> None:
    directory = store.data(mount.source)
    if mount.volume_options:
        from sandbox.grammar.local_driver import read_options, refuse_missing

        local = read_options(dict(mount.volume_options))
        if local is None or not local.directory:
            return  # a tmpfs, which is empty each time
        directory = local.directory
        if not os.path.isdir(directory):
            raise refuse_missing(mount.source, directory)
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        store.fill(mount.source, root_fd, mount.target, directory)
    finally:
        os.close(root_fd)


class Move(NamedTuple):
    """A rename."""

    source: str
    target: str


def set_aside_volumes(connection: sqlite3.Connection, paths: Paths, container: Container) -> Iterator[str]:
    """Take the unnamed volumes of this container that no other one has out of use; their directories, to be removed
    each before the next is asked for.
    """
    from sandbox.volume.store import GONE

    store = VolumeStore(paths.volumes)
    for mount in container.config.mounts:
        if mount.kind == "volume" and mount.anonymous:
            with translated(SandboxError, f"cannot remove a volume of container {container.name}"):
                directory = store.directory(mount.source)
            aside = f"{paths.volumes}/{GONE}{mount.source}-{os.getpid()}"
            if _set_aside(connection, container.id, mount.source, Move(directory, aside)):
                yield aside


def _set_aside(connection: sqlite3.Connection, container_id: str, name: str, move: Move) -> bool:
    """Take the volume's record and its name away, unless another container than this one names it (`--volumes-from`).

    In one transaction, as the record of a container is made together with a look for those of its volumes.
    """
    with transaction(connection):
        named = connection.execute(
            "SELECT 1 FROM container, json_each(container.config, '$.mounts') AS mount WHERE container.id != ?"
            " AND json_extract(mount.value, '$.kind') = 'volume' AND json_extract(mount.value, '$.source') = ?"
            " AND json_extract(container.state, '$.status') IS NOT 'removing'",
            (container_id, name),
        ).fetchone()
        known = connection.execute("SELECT anonymous FROM volume WHERE name = ?", (name,)).fetchone()
        # one that was taken back, without a record of whose it was, is somebody's
        if named is not None or (known is not None and not known[0]):
            return False
        if connection.execute("DELETE FROM volume WHERE name = ?", (name,)).rowcount:
            emit(connection, volume_event("destroy", name))
        try:
            os.rename(*move)
        except FileNotFoundError:
            return False  # somebody has removed it
    return True


def have_volumes(connection: sqlite3.Connection, mounts: tuple[MountPoint, ...]) -> bool:
    """Within a transaction: whether every volume is there still."""
    return all(
        connection.execute("SELECT 1 FROM volume WHERE name = ?", (mount.source,)).fetchone()
        for mount in mounts
        if mount.kind == "volume"
    )
