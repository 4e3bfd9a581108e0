"""The copies of records (`record_copies.py`) that are missing, written: those of a store that is older than they are,
and what a SIGKILL left out.
"""

from __future__ import annotations

import os

from sandbox.image.copies import keep_image_copies
from sandbox.record_copies import (
    has_copy,
    keep_container_copy,
    keep_network_copy,
    keep_object_copy,
    keep_volume_copy,
)
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.paths import Paths


def write_missing_copies(connection: sqlite3.Connection, paths: Paths) -> None:
    """Have a copy of every record; the caller holds no transaction."""
    keep_image_copies(connection)
    with transaction(connection):
        for (container_id,) in connection.execute("SELECT id FROM container").fetchall():
            if not has_copy(paths.data_root, "container", container_id):
                keep_container_copy(connection, container_id)
        for (network_id,) in connection.execute("SELECT id FROM network").fetchall():
            if not has_copy(paths.data_root, "network", network_id):
                keep_network_copy(connection, network_id)
        for (name,) in connection.execute("SELECT name FROM volume").fetchall():
            # a name that is no file's, out of a damaged database, is nobody's copy
            if os.path.basename(name) == name and not has_copy(paths.data_root, "volume", name):
                keep_volume_copy(connection, name)
        for table in ("secret", "config"):
            for (object_id,) in connection.execute(f"SELECT id FROM {table}").fetchall():
                if os.path.basename(object_id) == object_id and not has_copy(paths.data_root, table, object_id):
                    keep_object_copy(connection, table, object_id)
