"""How much a container takes: what it wrote, and that with its image."""

from __future__ import annotations

from sandbox.container.monitor.mounts import OVERLAY_NAME
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.state import open_state
from storage.errors import StorageError
from storage.trees.tree import disk_usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


class Sizes(NamedTuple):
    written_bytes: int
    total_bytes: int


def container_sizes(paths: Paths, container: Container) -> Sizes:
    """The sizes of `container` at this moment. Raises SandboxError."""
    return measure_containers(paths, [container])[0]


def measure_containers(paths: Paths, containers: Sequence[Container]) -> list[Sizes]:
    """The sizes of each at this moment: all in one look. No database connection may be open. Raises SandboxError."""
    if not containers:
        return []
    with open_state(paths) as connection:
        rows = connection.execute("SELECT id, size_bytes FROM image")
        images: dict[str, int] = dict(rows.fetchall())
    found = []
    for container, written in zip(containers, _measure([_tree(paths, one) for one in containers]), strict=True):
        copied = container.config.storage_driver == "copy"
        found.append(Sizes(written, written + (0 if copied else images.get(container.config.image_id, 0))))
    return found


def _tree(paths: Paths, container: Container) -> str:
    """Where the container's own files lie; all of them where it is a copy of its image."""
    part = "root" if container.config.storage_driver == "copy" else "upper"
    return f"{paths.container_data(container.id)}/{OVERLAY_NAME}/{part}"


def _measure(trees: list[str]) -> list[int]:
    try:
        return _size_each(trees)
    except StorageError:
        # directories of subordinate ids that nobody else may read
        sizes = call_in_user_namespace(_size_each, trees)
        assert isinstance(sizes, list)
        return sizes


def _size_each(trees: list[str]) -> list[int]:
    return [_size_bytes(tree) for tree in trees]


def _size_bytes(tree: str) -> int:
    import os

    try:
        return disk_usage(tree).size_bytes if os.path.isdir(tree) else 0
    except StorageError:
        # it may have been removed meanwhile
        if os.path.isdir(tree):
            raise
        return 0
