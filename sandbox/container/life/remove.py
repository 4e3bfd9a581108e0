"""Removing containers: the record, the files, and the volumes that have no name.

The record says "removing" while files go, and goes last: a removal that is killed half way is finished by the next
command. Files may belong to subordinate ids; a command becomes root of the user namespace to remove those, the
monitor is that already.
"""

from __future__ import annotations

from sandbox.container.model.claims import Claim, TakenError, claim_of, own_claim, to_remove
from sandbox.container.model.store import find_container, load_container, update_state
from sandbox.container.monitor.discard import discard_container
from sandbox.errors import ConflictError
from sandbox.runtime.owned_trees import remove_files
from sandbox.state import DatabaseError, is_full

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import Container, ContainerState
    from sandbox.paths import Paths


def remove_container(
    connection: sqlite3.Connection, paths: Paths, word: str, *, force: bool = False, volumes: bool = False
) -> None:
    """Remove the container that `word` names. Raises NotFoundError; ConflictError while it runs, unless `force`."""
    from sandbox.container.life.reconcile import is_stale, reconcile

    present: Container | None = find_container(connection, word)
    while present is not None and (container := reconcile(connection, paths, present)) is not None:
        if force and container.state.monitor_pid:
            from sandbox.container.life.stop import end_monitor

            end_monitor(paths, container)
            present = load_container(connection, container.id)
            continue
        try:
            marked = _claim(connection, paths, container, claim_of(present.state))
        except TakenError:
            present = load_container(connection, container.id)
            # by force once more; as is one that was started by another command and died since it was looked at
            if not force and present is not None and not is_stale(present.state):
                _wait_or_refuse(paths, present, word)
                present = load_container(connection, container.id)
            continue
        if marked is not None:
            discard_container(connection, paths, container, volumes=volumes or container.config.auto_remove)
        return


def _wait_or_refuse(paths: Paths, container: Container, word: str) -> None:
    """Wait for another command that has to do with the container, which does not run. Raises ConflictError where it
    does.
    """
    from sandbox.container.life.stop import is_active
    from sandbox.container.monitor.reach import wait_monitor

    if is_active(container):
        raise running_error(container, word)
    # a copy of its files, which is to end; or a start, after which it runs
    wait_monitor(paths, container)


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
    status = container.state.status
    what_first = (
        "paused and must be unpaused first"
        if status == "paused"
        else f"{status}: stop the container before removing or force remove"
    )
    return ConflictError(
        f'cannot remove container "/{container.name}": container is {what_first}',
        mend=f"sandbox rm -f {word}",
    )
