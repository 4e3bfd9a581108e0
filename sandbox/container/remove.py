"""Removing containers: the record, the files, and the volumes that have no name.

The record says "removing" while files go, and goes last: a removal that is killed half way is finished by the next
command. Files may belong to subordinate ids; a command becomes root of the user namespace to remove those, the
monitor is that already.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.container.claims import Claim, TakenError, claim_of, own_claim, to_remove
from sandbox.container.runtime_files import remove_runtime_files
from sandbox.container.store import delete_container, find_container, load_container, update_state
from sandbox.errors import ConflictError, SandboxError, translated
from sandbox.state import DatabaseError, is_full, transaction
from storage.tree import remove_tree

if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.record import Container, ContainerState
    from sandbox.paths import Paths


def remove_container(
    connection: sqlite3.Connection, paths: Paths, word: str, *, force: bool = False, volumes: bool = False
) -> None:
    """Remove the container that `word` names. Raises NotFoundError; ConflictError while it runs, unless `force`."""
    from sandbox.container.reconcile import is_stale, reconcile

    present: Container | None = find_container(connection, word)
    while present is not None and (container := reconcile(connection, paths, present)) is not None:
        if force and container.state.monitor_pid:
            from sandbox.container.stop import end_monitor

            end_monitor(paths, container)
            present = load_container(connection, container.id)
            continue
        try:
            marked = _claim(connection, paths, container, claim_of(present.state))
        except TakenError:
            present = load_container(connection, container.id)
            # by force once more; as is one that was started by another command and died since it was looked at
            if not force and present is not None and not is_stale(present.state):
                raise running_error(present, word) from None
            continue
        if marked is not None:
            discard_container(connection, paths, container, volumes=volumes or container.config.auto_remove)
        return


def _claim(connection: sqlite3.Connection, paths: Paths, container: Container, before: Claim) -> ContainerState | None:
    """Enter this process as the one that removes the container; None where it is gone. Raises TakenError.

    `before` is the claim of the record before it was mended.
    """
    removing = to_remove(own_claim(), before if not container.state.monitor_pid else Claim())
    try:
        return update_state(connection, container.id, removing)
    except DatabaseError as error:
        # on a full disk the container's own files make the room; a start would have had to be written as well
        if container.state.monitor_pid or not is_full(error):
            raise
        remove_files(paths.container_data(container.id))
        return update_state(connection, container.id, removing)


def running_error(container: Container, word: str) -> ConflictError:
    return ConflictError(
        f'cannot remove container "/{container.name}": container is {container.state.status}: '
        "stop the container before removing or force remove",
        mend=f"sandbox rm -f {word}",
    )


def discard_container(
    connection: sqlite3.Connection, paths: Paths, container: Container, *, volumes: bool = True
) -> None:
    """Remove the files of a container that does not run, then its record. Twice, or by two at once, is safe."""
    remove_files(paths.container_data(container.id))
    if volumes:
        from sandbox.container.volumes import remove_anonymous_volumes

        remove_anonymous_volumes(connection, paths, container)
    with transaction(connection):
        # who still finds the record finds the monitor's socket too, where it is the monitor that removes
        remove_runtime_files(paths, container.id, container.state)
        delete_container(connection, container.id)


def remove_files(directory: str) -> None:
    """Remove a tree of ours, whoever its files belong to below. Raises SandboxError."""
    if not os.path.lexists(directory):
        return
    try:
        _remove_once(directory)
    except (SandboxError, PermissionError):
        if os.geteuid() == 0:
            raise
        from sandbox.runtime.user_namespace import call_in_user_namespace

        call_in_user_namespace(_remove_once, directory)


def _remove_once(directory: str) -> None:
    with translated(SandboxError, f"cannot remove {directory}"):
        remove_tree(directory)
