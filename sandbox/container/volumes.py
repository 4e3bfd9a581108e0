"""Volumes as containers use them: made when first named; those without a name go with their container.

The database says which there are, `storage.volumes` keeps their files.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from sandbox.container.names import new_container_id
from sandbox.errors import SandboxError, StartError, translated
from sandbox.record_copies import keep_volume_copy
from sandbox.state import transaction
from storage.volumes import VolumeStore

if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.record import Container, MountPoint
    from sandbox.paths import Paths


def make_volumes(
    connection: sqlite3.Connection, paths: Paths, mounts: tuple[MountPoint, ...]
) -> tuple[MountPoint, ...]:
    """`mounts` with every volume in existence: unnamed ones get a name of 64 digits. Existing ones are kept."""
    return tuple(_make_volume(connection, paths, mount) if mount.kind == "volume" else mount for mount in mounts)


def _make_volume(connection: sqlite3.Connection, paths: Paths, mount: MountPoint) -> MountPoint:
    anonymous = not mount.source
    named = mount._replace(source=mount.source or new_container_id(), anonymous=anonymous)
    with transaction(connection):
        known = connection.execute("SELECT 1 FROM volume WHERE name = ?", (named.source,)).fetchone()
        if known is None:
            with translated(StartError, "cannot make a volume"):
                VolumeStore(paths.volumes).create(named.source, to_fill=mount.copy_up)
            connection.execute(
                "INSERT INTO volume (name, created_ns, labels, anonymous) VALUES (?, ?, ?, ?)",
                (named.source, time.time_ns(), json.dumps(dict(mount.volume_labels)), int(anonymous)),
            )
    if known is None:
        keep_volume_copy(connection, named.source)
    return named


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
        if mount.kind != "volume":
            continue
        with translated(StartError, f"cannot fill the volume {mount.source}"):
            if mount.copy_up and store.waits_to_be_filled(mount.source):
                _fill(store, mount, root)


def _fill(store: VolumeStore, mount: MountPoint, root: str) -> None:
    root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        store.fill(mount.source, root_fd, mount.target)
    finally:
        os.close(root_fd)


def remove_anonymous_volumes(connection: sqlite3.Connection, paths: Paths, container: Container) -> None:
    """Remove the volumes made for this container alone."""
    from sandbox.container.remove import remove_files

    store = VolumeStore(paths.volumes)
    for mount in container.config.mounts:
        if mount.kind == "volume" and mount.anonymous:
            with translated(SandboxError, f"cannot remove a volume of container {container.name}"):
                directory = store.directory(mount.source)
            remove_files(directory)
            connection.execute("DELETE FROM volume WHERE name = ? AND anonymous = 1", (mount.source,))
