"""A container's record and runtime files, discarded."""

from __future__ import annotations

from sandbox.container.model.runtime_files import remove_runtime_files
from sandbox.container.model.store import delete_container
from sandbox.runtime.owned_trees import removal_steps, remove_files
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths
    from storage.waits import Steps


def discard_container(
    connection: sqlite3.Connection, paths: Paths, container: Container, *, volumes: bool = True
) -> None:
    """Remove the files of a container that does not run, then its record. Twice, or by two at once, is safe."""
    for directory in _directories(connection, paths, container, volumes=volumes):
        remove_files(directory)


def discard_steps(connection: sqlite3.Connection, paths: Paths, container: Container) -> Steps[None]:
    """`discard_container`, for who does something else while files are removed. Raises SandboxError, DatabaseError."""
    for directory in _directories(connection, paths, container, volumes=True):
        yield from removal_steps(directory)


def _directories(connection: sqlite3.Connection, paths: Paths, container: Container, *, volumes: bool) -> Iterator[str]:
    """What is to be removed, each before the next is asked for; after the last one the record is gone."""
    yield paths.container_data(container.id)
    if volumes:
        from sandbox.volume.volumes import set_aside_volumes

        yield from set_aside_volumes(connection, paths, container)
    with transaction(connection):
        # who still finds the record finds the monitor's socket too, where it is the monitor that removes
        remove_runtime_files(paths, container.id, container.state)
        delete_container(connection, container.id)
