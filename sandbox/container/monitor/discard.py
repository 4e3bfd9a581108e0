"""A container's record and runtime files, discarded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.container.model.runtime_files import remove_runtime_files
from sandbox.container.model.store import delete_container
from sandbox.runtime.owned_trees import remove_files
from sandbox.state import transaction

if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


def discard_container(
    connection: sqlite3.Connection, paths: Paths, container: Container, *, volumes: bool = True
) -> None:
    """Remove the files of a container that does not run, then its record. Twice, or by two at once, is safe."""
    remove_files(paths.container_data(container.id))
    if volumes:
        from sandbox.volume.volumes import remove_anonymous_volumes

        remove_anonymous_volumes(connection, paths, container)
    with transaction(connection):
        # who still finds the record finds the monitor's socket too, where it is the monitor that removes
        remove_runtime_files(paths, container.id, container.state)
        delete_container(connection, container.id)
