"""A new volume takes what the image has where it is mounted, as Docker does; in the monitor, over the mounted root."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from sandbox.container.volumes import FILL_MARK, volume_data
from sandbox.errors import StartError, translated
from storage.volumes import copy_up

if TYPE_CHECKING:
    from sandbox.paths import Paths


def is_unfilled(paths: Paths, name: str) -> bool:
    """Whether the volume is new and waits to be filled."""
    return os.path.exists(f"{paths.volume(name)}/{FILL_MARK}")


def fill_volume(paths: Paths, name: str, root: str, target: str) -> None:
    """Copy what the tree at `root` has at `target` into the volume, once; a volume that has something stays as it is.

    The mark goes last: a copy that was cut short is noticed, but not made again over what may be data by then.
    Raises StartError.
    """
    with translated(StartError, f"cannot fill the volume {name}"):
        root_fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            copy_up(root_fd, target, volume_data(paths, name))
        finally:
            os.close(root_fd)
    with suppress(FileNotFoundError):
        os.unlink(f"{paths.volume(name)}/{FILL_MARK}")
