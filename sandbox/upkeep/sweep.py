"""What killed commands left aside, removed, and what that frees: builds, removals of volumes, resets."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.secret.store import tidy_all
from sandbox.state import open_state
from sandbox.transactions import transaction
from sandbox.volume.store import GONE, put_back_unremoved
from storage.errors import StorageError
from storage.locks import is_unlocked, lock_nowait, unlock
from storage.trees.tree import disk_usage, remove_tree

if TYPE_CHECKING:
    from sandbox.paths import Paths

#: how the directory begins in which a reset sets things aside
RESET = ".reset-"


def sweep_leftovers(paths: Paths) -> int:
    """Remove what nobody works on any more; the bytes that this freed. Raises SandboxError."""
    with open_state(paths, frees=True) as connection, transaction(connection):
        put_back_unremoved(connection, paths)
        tidy_all(connection, paths)
    build = f"{paths.data_root}/build"
    builds = [f"{build}/{name}" for name in _names(build) if is_unlocked(f"{build}/{name}")]
    aside = [f"{paths.volumes}/{name}" for name in _names(paths.volumes) if name.startswith(GONE)]
    aside += [f"{paths.data_root}/{name}" for name in _names(paths.data_root) if name.startswith(RESET)]
    # each ends with its maker's pid
    left = [path for path in aside if not os.path.exists(f"/proc/{path.rpartition('-')[2]}")]
    if not builds and not left:
        return 0
    freed = call_in_user_namespace(_sweep, builds, left)
    assert isinstance(freed, int)
    return freed


def _sweep(builds: list[str], left: list[str]) -> int:
    freed = remove_measured(left)
    for path in builds:
        # a build that has begun since holds its own
        fd = lock_nowait(path)
        if fd is not None:
            try:
                freed += remove_measured([path])
            finally:
                unlock(fd)
    return freed


def remove_measured(places: list[str]) -> int:
    """Remove the trees; the bytes that they took. What can be removed goes even where something cannot. Raises
    StorageError.
    """
    freed = 0
    failure: StorageError | None = None
    for place in places:
        try:
            freed += disk_usage(place).allocated_bytes if os.path.isdir(place) else 0
            remove_tree(place)
        except StorageError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return freed


def _names(directory: str) -> list[str]:
    with suppress(FileNotFoundError):
        return sorted(os.listdir(directory))
    return []
