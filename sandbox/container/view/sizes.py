"""How much a container takes: what it wrote, and that with its image."""

from __future__ import annotations

from sandbox.container.monitor.mounts import OVERLAY_NAME
from sandbox.errors import SandboxError, translated
from sandbox.named_tuple import NamedTuple
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.state import open_state
from storage.errors import StorageError
from storage.trees.tree import disk_usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


class Sizes(NamedTuple):
    written_bytes: int
    total_bytes: int


def container_sizes(paths: Paths, container: Container) -> Sizes:
    """The sizes of `container` at this moment. Raises SandboxError."""
    directory = f"{paths.container_data(container.id)}/{OVERLAY_NAME}"
    part = "root" if container.config.storage_driver == "copy" else "upper"
    tree = f"{directory}/{part}"
    with open_state(paths) as connection:
        row = connection.execute("SELECT size_bytes FROM image WHERE id = ?", (container.config.image_id,)).fetchone()
    image_bytes = int(row[0]) if row else 0
    with translated(SandboxError, f"cannot measure container {container.name}"):
        written = _measure(tree)
    return Sizes(written, written + (0 if part == "root" else image_bytes))


def _measure(tree: str) -> int:
    try:
        return _size_bytes(tree)
    except StorageError:
        # directories of subordinate ids that nobody else may read
        size = call_in_user_namespace(_size_bytes, tree)
        assert isinstance(size, int)
        return size


def _size_bytes(tree: str) -> int:
    import os

    return disk_usage(tree).size_bytes if os.path.isdir(tree) else 0
