"""No overlay at all: the layers are copied into one tree for each container, sharing data where the file system can.

UPPER_DIR/root       the container's tree
UPPER_DIR/root.new   one being made
"""

from __future__ import annotations

import os

from storage.errors import os_failure
from storage.overlay.driver import RootMount, refuse_options, visible_layers
from storage.private_directories import make_private_directory
from storage.syscalls import MS_BIND, mount
from storage.trees.copy_tree import merge_layer
from storage.trees.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.overlay.driver import RootOptions
    from storage.true_owners import TrueOwners

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class CopyDriver:
    """Driver `copy`. Preparing and mounting raise StorageError."""

    name = "copy"
    starts_slowly = False

    def preload(self) -> None:
        pass

    def prepare(self, upper_dir: str) -> None:
        try:
            make_private_directory(upper_dir)
        except OSError as error:
            raise os_failure(f"cannot prepare {upper_dir}", error) from error

    def mount_root(
        self, layers: Sequence[str], upper_dir: str, target: str, options: RootOptions | None = None
    ) -> RootMount:
        refuse_options(self.name, options)
        root = f"{upper_dir}/root"
        try:
            if not os.path.isdir(root):
                _make_root(visible_layers(layers), root)
            mount(root, target, None, MS_BIND, None)
        except OSError as error:
            raise os_failure(f"cannot make a root file system at {target}", error) from error
        return RootMount(target)

    def true_owners(self, layers: Sequence[str], upper_dir: str) -> TrueOwners:
        from storage.true_owners import TrueOwners  # only for archives

        return TrueOwners(visible_layers(layers), copied=True)

    def remove(self, upper_dir: str) -> None:
        for part in ("root", "root.new"):
            remove_tree(f"{upper_dir}/{part}")


def _make_root(layers: Sequence[str], root: str) -> None:
    making = f"{root}.new"
    # a copy that a crash cut short is started again
    remove_tree(making)
    os.mkdir(making, 0o755)
    target_fd = os.open(making, _OPEN)
    try:
        for layer in layers:
            layer_fd = os.open(layer, _OPEN)
            try:
                merge_layer(layer_fd, target_fd)
            finally:
                os.close(layer_fd)
    finally:
        os.close(target_fd)
    os.rename(making, root)
