"""Volumes as containers use them: made when first named; those without a name go with their container."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from sandbox.container.names import new_container_id
from sandbox.errors import StartError, translated
from sandbox.state import transaction

if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.record import Container, MountPoint
    from sandbox.paths import Paths
    from storage.volumes import VolumeStore

#: present while a volume still waits for what the image has at its mount point
FILL_MARK = "fill"


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
                _store(paths).create(named.source)
            if mount.copy_up:
                with open(f"{paths.volume(named.source)}/{FILL_MARK}", "w"):
                    pass
            connection.execute(
                "INSERT INTO volume (name, created_ns, labels, anonymous) VALUES (?, ?, ?, ?)",
                (named.source, time.time_ns(), json.dumps(dict(mount.volume_labels)), int(anonymous)),
            )
    return named


def volume_data(paths: Paths, name: str) -> str:
    """The directory that is mounted."""
    return f"{paths.volume(name)}/_data"


def _store(paths: Paths) -> VolumeStore:
    # `exec` and most `run`s make no volume, and this brings the copying of trees with it
    from storage.volumes import VolumeStore

    return VolumeStore(os.path.dirname(paths.volume("any")))


def remove_anonymous_volumes(connection: sqlite3.Connection, paths: Paths, container: Container) -> None:
    """Remove the volumes made for this container alone."""
    from sandbox.container.remove import remove_files

    for mount in container.config.mounts:
        if mount.kind == "volume" and mount.anonymous:
            remove_files(paths.volume(mount.source))
            connection.execute("DELETE FROM volume WHERE name = ? AND anonymous = 1", (mount.source,))
