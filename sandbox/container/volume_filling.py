"""A new volume takes what the image has where it is mounted, as Docker does; in the monitor, over the mounted root.

The place is resolved inside the image's tree, and data is copied by descriptors: whatever links the image has, nothing
of the host's shows up in the volume (CVE-2022-23648), and nothing that is in a volume is overwritten (CVE-2020-1726).
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from sandbox.container.volumes import FILL_MARK, volume_data
from sandbox.errors import StartError, translated
from storage.copy_tree import copy_tree
from storage.resolve import open_in_root

if TYPE_CHECKING:
    from sandbox.paths import Paths

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def is_unfilled(paths: Paths, name: str) -> bool:
    """Whether the volume is new and waits to be filled."""
    return os.path.exists(f"{paths.volume(name)}/{FILL_MARK}")


def fill_volume(paths: Paths, name: str, root: str, target: str) -> None:
    """Copy what the tree at `root` has at `target` into the volume, once; a volume that has something stays as it is.

    Of two containers that start at once both may copy: they copy the same. Raises StartError.
    """
    data = volume_data(paths, name)
    with translated(StartError, f"cannot fill the volume {name}"):
        root_fd = os.open(root, _DIRECTORY)
        try:
            source_fd = _open_directory(root_fd, target)
            if source_fd >= 0 and not os.listdir(data):
                _copy(source_fd, data)
            elif source_fd >= 0:
                os.close(source_fd)
        finally:
            os.close(root_fd)
    with suppress(FileNotFoundError):
        os.unlink(f"{paths.volume(name)}/{FILL_MARK}")


def _open_directory(root_fd: int, target: str) -> int:
    try:
        return open_in_root(root_fd, os.fsencode(target.lstrip("/")), os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return -1


def _copy(source_fd: int, data: str) -> None:
    try:
        target_fd = os.open(data, _DIRECTORY)
        try:
            copy_tree(source_fd, target_fd)
        finally:
            os.close(target_fd)
    except OSError as error:
        raise StartError(f"cannot fill the volume at {data}", cause=error.strerror or str(error)) from error
    finally:
        os.close(source_fd)
