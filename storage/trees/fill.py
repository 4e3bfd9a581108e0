"""Copying what an image has at a path into a volume that is mounted there, as Docker does for new volumes.

Content that belongs to subordinate ids is copied as uid 0 of the mapped user namespace.
"""

from __future__ import annotations

import os

from storage.errors import os_failure
from storage.trees.copy_tree import copy_metadata, copy_tree
from storage.trees.resolve import open_in_root

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


def fill_volume(root_fd: int, container_path: str, volume_path: str) -> bool:
    """Fill a new, empty volume with what the image has at `container_path`; false where there is nothing to do.

    The path is resolved inside the root; links are copied as links. A volume that has anything in it is left alone. The
    directory's owner and mode go to the volume too. In the namespace, with the root file system mounted.

    Raises StorageError.
    """
    try:
        source_fd = open_in_root(root_fd, container_path, _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        volume_fd = os.open(volume_path, _DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.listdir(volume_fd):
                return False
            if os.listdir(source_fd):
                copy_tree(source_fd, volume_fd)
            else:
                copy_metadata(source_fd, volume_fd)
        finally:
            os.close(volume_fd)
    except OSError as error:
        raise os_failure(f"cannot copy {container_path} of the image into the volume", error) from error
    finally:
        os.close(source_fd)
    return True
