"""What a container changed over its image: Docker's `diff`."""

from __future__ import annotations

import os
import stat

from sandbox.container.monitor.mounts import OVERLAY_NAME
from sandbox.errors import SandboxError, translated
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.user_namespace import call_in_user_namespace
from storage.layers.changes import ADDED, find_changes
from storage.layers.lookup import look_up
from storage.layers.store import LayerStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths
    from storage.layers.changes import Change as PathChange

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: places that every container needs, to mount its own over: where there is nothing new in them, nobody has made them
_OURS = {b"proc", b"sys", b"dev", b"etc", b"etc/hosts", b"etc/hostname", b"etc/resolv.conf"}


class Change(NamedTuple):
    """A path of the container, and whether it was modified, added or deleted: Docker's 0, 1, 2."""

    path: str
    kind: int

    @property
    def letter(self) -> str:
        """As `diff` shows it."""
        return "CAD"[self.kind]


def container_changes(paths: Paths, container: Container) -> tuple[Change, ...]:
    """What the container changed, sorted as a walk meets it; nothing of one that has not been started yet.

    Raises SandboxError.
    """
    with translated(SandboxError, f"cannot compare container {container.name} with its image"):
        trees = LayerStore(paths.layers).trees(container.config.layers)
        copied = container.config.storage_driver == "copy"
        upper = f"{paths.container_data(container.id)}/{OVERLAY_NAME}/{'root' if copied else 'upper'}"
        try:
            found = _find(upper, trees, copied)
        except PermissionError:
            # directories of subordinate ids that nobody else may read
            answer = call_in_user_namespace(_find, upper, trees, copied)
            assert isinstance(answer, list)
            found = answer
    return tuple(Change(path, kind) for path, kind in found)


def _find(upper: str, trees: Sequence[str], copied: bool) -> list[tuple[str, int]]:
    try:
        fd = os.open(upper, _OPEN)
    except FileNotFoundError:
        return []
    try:
        changes = find_changes(fd, trees, complete=copied)
        return [("/" + os.fsdecode(path), kind) for kind, path in _without_ours(fd, changes, trees)]
    except PermissionError:
        raise
    except OSError as error:
        raise SandboxError("cannot read what the container changed", cause=error.strerror or str(error)) from error
    finally:
        os.close(fd)


def _without_ours(root_fd: int, changes: Sequence[PathChange], trees: Sequence[str]) -> list[PathChange]:
    kept: list[PathChange] = []
    # directories with something of somebody's in them: what lies in them comes first this way
    full: set[bytes] = set()
    for change in reversed(changes):
        if change.path not in full and change.path in _OURS and _is_ours(root_fd, change, trees):
            continue
        kept.append(change)
        full.add(change.path.rpartition(b"/")[0])
    return kept[::-1]


def _is_ours(root_fd: int, change: PathChange, trees: Sequence[str]) -> bool:
    """Whether the entry, in which nothing else is, was made or changed by the mounts of every container."""
    try:
        status = os.stat(change.path, dir_fd=root_fd, follow_symlinks=False)
    except OSError:
        return False
    if change.kind == ADDED:
        return stat.S_ISDIR(status.st_mode) or (stat.S_ISREG(status.st_mode) and not status.st_size)
    lower = look_up(trees, os.fsdecode(change.path))
    return (
        change.path == b"etc"
        and lower is not None
        and (lower.st_mode, lower.st_uid, lower.st_gid) == (status.st_mode, status.st_uid, status.st_gid)
    )
