"""Volumes that no container mounts, removed."""

from __future__ import annotations

from sandbox.errors import ConflictError, NotFoundError
from sandbox.events import tell_pruned
from sandbox.named_tuple import NamedTuple
from sandbox.state import open_state
from sandbox.volume.sizes import volume_bytes
from sandbox.volume.store import list_volumes, remove_volume, users_of_volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.paths import Paths
    from sandbox.volume.store import Volume


class PrunedVolumes(NamedTuple):
    """The names of those that went, and the bytes that freed."""

    names: tuple[str, ...]
    freed_bytes: int


def prune_volumes(paths: Paths, accept: Callable[[Volume], bool]) -> PrunedVolumes:
    """Remove the volumes that no container mounts and that `accept` takes."""
    # closed before anything forks
    with open_state(paths, frees=True) as connection:
        used = users_of_volumes(connection)
        chosen = [volume.name for volume in list_volumes(connection) if volume.name not in used and accept(volume)]
    names: list[str] = []
    freed = 0
    for name, size in zip(chosen, volume_bytes(paths, chosen), strict=True):
        try:
            remove_volume(paths, name)
        except (ConflictError, NotFoundError):
            continue  # mounted, or removed by somebody, meanwhile
        names.append(name)
        freed += size
    tell_pruned(paths, "volume", freed)
    return PrunedVolumes(tuple(names), freed)
