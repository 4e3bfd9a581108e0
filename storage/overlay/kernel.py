"""The kernel's overlayfs, mounted with `userxattr` as an unprivileged user namespace must (Linux 5.11).

UPPER_DIR/upper   what the container changed
UPPER_DIR/work    overlayfs' own
UPPER_DIR/empty   the lower directory of an image without layers
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack

from storage.errors import os_failure
from storage.overlay.driver import RootMount, refuse_options, visible_layers
from storage.private_directories import make_private_directory
from storage.syscalls import (
    FSCONFIG_CMD_CREATE,
    FSCONFIG_SET_FLAG,
    FSCONFIG_SET_STRING,
    MOVE_MOUNT_F_EMPTY_PATH,
    fsconfig,
    fsmount,
    fsopen,
    mount,
    move_mount,
)
from storage.trees.copy_tree import copy_metadata
from storage.trees.tree import remove_tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.overlay.driver import RootOptions
    from storage.true_owners import TrueOwners

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_PARTS = ("upper", "work", "empty")


class KernelDriver:
    """Driver `overlay`. Preparing and mounting raise StorageError."""

    name = "overlay"
    starts_slowly = False

    def preload(self) -> None:
        pass

    def prepare(self, upper_dir: str) -> None:
        prepare_parts(upper_dir)

    def mount_root(
        self, layers: Sequence[str], upper_dir: str, target: str, options: RootOptions | None = None
    ) -> RootMount:
        refuse_options(self.name, options)
        try:
            layers = visible_layers(layers) or (f"{upper_dir}/empty",)
            make_upper(layers[-1], upper_dir)
            mount_overlay(layers[::-1], f"{upper_dir}/upper", f"{upper_dir}/work", target)
        except OSError as error:
            raise os_failure(f"cannot mount an overlay at {target}", error) from error
        return RootMount(target)

    def true_owners(self, layers: Sequence[str], upper_dir: str) -> TrueOwners:
        return true_owners_over(layers, upper_dir)

    def remove(self, upper_dir: str) -> None:
        remove_parts(upper_dir)


def prepare_parts(upper_dir: str) -> None:
    """Make the parts of `upper_dir` that a mount needs; twice is safe. StorageError."""
    try:
        make_private_directory(upper_dir)
        for part in ("work", "empty"):
            os.makedirs(f"{upper_dir}/{part}", mode=0o755, exist_ok=True)
    except OSError as error:
        raise os_failure(f"cannot prepare {upper_dir}", error) from error


def true_owners_over(layers: Sequence[str], upper_dir: str) -> TrueOwners:
    """As `Driver.true_owners`, of what an overlay with the parts of `upper_dir` shows."""
    from storage.true_owners import TrueOwners  # only for archives

    return TrueOwners(visible_layers(layers), f"{upper_dir}/upper")


def remove_parts(upper_dir: str) -> None:
    """Remove all parts of `upper_dir`; missing is fine. StorageError."""
    for part in _PARTS:
        remove_tree(f"{upper_dir}/{part}")


def mount_overlay(lower_dirs: Sequence[str], upper_dir: str, work_dir: str, target: str) -> None:
    """Mount an overlay of `lower_dirs`, topmost first, at `target`. OSError where the kernel refuses.

    The kernel is given descriptors by way of /proc/self/fd: real paths would have to be free of `:` and `,`, shorter
    than 256 bytes each for fsconfig(2), and all together shorter than a page for mount(2), which 127 layers are not.
    """
    with ExitStack() as stack:
        lower = [_descriptor_path(path, stack) for path in lower_dirs]
        upper, work = _descriptor_path(upper_dir, stack), _descriptor_path(work_dir, stack)
        try:
            _mount_with_fsconfig(lower, upper, work, target)
        except OSError as error:
            # before Linux 6.5 there is no `lowerdir+`, before 5.2 no fsopen
            if error.errno not in (errno.EINVAL, errno.ENOSYS):
                raise
            mount_classic(lower, upper, work, target)


def mount_classic(lower: Sequence[str], upper: str, work: str, target: str) -> None:
    """The one-page form of mount(2)."""
    options = f"userxattr,lowerdir={':'.join(lower)},upperdir={upper},workdir={work}"
    mount("overlay", target, "overlay", 0, options)


def _mount_with_fsconfig(lower: Sequence[str], upper: str, work: str, target: str) -> None:
    fs_fd = fsopen("overlay")
    try:
        fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", "overlay")
        fsconfig(fs_fd, FSCONFIG_SET_FLAG, "userxattr", None)
        for path in lower:
            fsconfig(fs_fd, FSCONFIG_SET_STRING, "lowerdir+", path)
        fsconfig(fs_fd, FSCONFIG_SET_STRING, "upperdir", upper)
        fsconfig(fs_fd, FSCONFIG_SET_STRING, "workdir", work)
        fsconfig(fs_fd, FSCONFIG_CMD_CREATE, None, None)
        mount_fd = fsmount(fs_fd)
        try:
            move_mount(mount_fd, "", -100, target, MOVE_MOUNT_F_EMPTY_PATH)
        finally:
            os.close(mount_fd)
    finally:
        os.close(fs_fd)


def _descriptor_path(path: str, stack: ExitStack) -> str:
    fd = os.open(path, _OPEN)
    stack.callback(os.close, fd)
    return f"/proc/self/fd/{fd}"


def make_upper(top_layer: str, upper_dir: str) -> None:
    """Make the upper directory: the root of the merged tree has its owner, mode and times, so they are the image's."""
    upper = f"{upper_dir}/upper"
    if os.path.isdir(upper):
        return
    making = f"{upper_dir}/upper.new"
    remove_tree(making)
    os.mkdir(making, 0o755)
    source_fd = os.open(top_layer, _OPEN)
    try:
        target_fd = os.open(making, _OPEN)
        try:
            copy_metadata(source_fd, target_fd)
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)
    os.rename(making, upper)
