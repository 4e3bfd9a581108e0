"""What a container changed as a layer of the store.

The upper directory is copied, for the container goes on writing to it, and the copy becomes the layer as a build's step
does: its archive and its tree are of one moment. Mounts are no part of the upper directory. The places that every
container needs to mount its own things over are left out, as in Docker, where nobody has put anything there.
"""

from __future__ import annotations

import os
import stat
from functools import partial
from typing import TYPE_CHECKING

from sandbox.builder.step_layers import MOUNT_POINTS, Workshop
from sandbox.container.monitor.mounts import OVERLAY_NAME
from sandbox.errors import ImageError, SandboxError, translated
from storage.digests import parse_digest
from storage.drivers import driver_named
from storage.layers.lookup import look_up
from storage.trees.copy_tree import copy_layer
from storage.trees.tree import remove_entry
from storage.whiteouts import is_opaque, is_whiteout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.builder.cache.step_cache import BuildLayer
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES = 3


def keep_changes(paths: Paths, container: Container, below: Sequence[BuildLayer]) -> list[object] | None:
    """Store what the container changed over the layers `below`; the values of a `BuildLayer` and its size in bytes, or
    None where it changed nothing. Called as root of the outer user namespace. Raises SandboxError.
    """
    config = container.config
    workshop = Workshop(paths, config.storage_driver)
    try:
        with translated(ImageError, f"cannot read what container {container.name} changed"):
            trees = workshop.layers.trees(config.layers)
            directory = _copied(workshop, paths, container, trees)
            if directory is None:
                return None
            _leave_out_mount_points(f"{directory}/upper", trees)
            if not os.listdir(f"{directory}/upper") and not _is_opaque(f"{directory}/upper"):
                return None
        driver = driver_named("overlay" if config.storage_driver == "copy" else config.storage_driver)
        layer = workshop.keep(directory, partial(driver.true_owners, trees, directory), below)
        described = workshop.layers.describe(parse_digest(layer.chain_id)).get("size_bytes")
        return [*layer, described if isinstance(described, int) else 0]
    finally:
        workshop.close()


def _copied(workshop: Workshop, paths: Paths, container: Container, trees: Sequence[str]) -> str | None:
    """The directory that holds the copy as `upper`; None where the container never had a tree of its own."""
    place = f"{paths.container_data(container.id)}/{OVERLAY_NAME}"
    copies = container.config.storage_driver == "copy"
    source = f"{place}/root" if copies else f"{place}/upper"
    if not os.path.isdir(source):
        return None
    for attempt in range(_TRIES):
        directory = workshop.new_directory()
        os.mkdir(f"{directory}/upper", 0o755)
        try:
            fds = [os.open(path, _OPEN) for path in (source, f"{directory}/upper")]
            try:
                if copies:
                    from sandbox.commit.copied_tree import copy_changes  # for the one driver without an overlay

                    copy_changes(fds[0], fds[1], trees)
                else:
                    copy_layer(*fds)
            finally:
                for fd in fds:
                    os.close(fd)
        except FileNotFoundError as error:
            # it was not paused, and removes files as we read them
            if attempt + 1 == _TRIES:
                raise SandboxError(
                    f"container {container.name} changes its files faster than they are read",
                    cause=error.strerror or "",
                    mend=f"leave out --pause=false, or sandbox stop {container.name}",
                ) from error
        else:
            return directory
    return None


def _leave_out_mount_points(upper: str, trees: Sequence[str]) -> None:
    for path, is_directory in MOUNT_POINTS:
        above, name = os.path.split(path)
        above_fd = _open_below(upper, above)
        if above_fd < 0:
            continue
        try:
            if _is_empty(above_fd, os.fsencode(name), is_directory=is_directory) and look_up(trees, path) is None:
                remove_entry(above_fd, os.fsencode(name))
        finally:
            os.close(above_fd)
    _leave_out_untouched(upper, "etc", trees)


def _open_below(upper: str, directory: str) -> int:
    try:
        return os.open(f"{upper}/{directory}", _OPEN)
    except OSError:
        return -1


def _is_empty(dir_fd: int, name: bytes, *, is_directory: bool) -> bool:
    try:
        status = os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode) != is_directory or is_whiteout(dir_fd, name, status):
            return False
        if not is_directory:
            return stat.S_ISREG(status.st_mode) and not status.st_size
        fd = os.open(name, _OPEN, dir_fd=dir_fd)
        try:
            return not os.listdir(fd)
        finally:
            os.close(fd)
    except OSError:
        return False


def _leave_out_untouched(upper: str, name: str, trees: Sequence[str]) -> None:
    """Leave out a directory that is there only because a mount point was made in it."""
    if not _is_empty_directory(f"{upper}/{name}"):
        return
    status, lower = os.lstat(f"{upper}/{name}"), look_up(trees, name)
    if lower is None or (lower.st_mode, lower.st_uid, lower.st_gid) == (status.st_mode, status.st_uid, status.st_gid):
        os.rmdir(f"{upper}/{name}")


def _is_empty_directory(path: str) -> bool:
    fd = _open_below(path, ".")
    if fd < 0:
        return False
    try:
        return not os.listdir(fd) and not is_opaque(fd)
    finally:
        os.close(fd)


def _is_opaque(path: str) -> bool:
    fd = os.open(path, _OPEN)
    try:
        return is_opaque(fd)
    finally:
        os.close(fd)
