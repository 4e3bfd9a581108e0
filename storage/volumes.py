"""Named volumes: directories `ROOT/<name>/_data`. Names are checked here too, since they become paths.

Content that belongs to subordinate ids is copied and removed as uid 0 of the mapped user namespace.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from storage.copy_tree import copy_metadata, copy_tree
from storage.errors import StorageError, os_failure
from storage.resolve import open_in_root
from storage.tree import remove_tree

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_REST = _FIRST | frozenset("_.-")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class Volume(NamedTuple):
    """A named volume and where its data lies."""

    name: str
    path: str


class VolumeStore:
    """Volumes below `root_dir`."""

    def __init__(self, root_dir: str) -> None:
        self._root = root_dir

    def path(self, name: str) -> str:
        """Where the volume's data lies or would lie. StorageError for what is no volume name."""
        if len(name) < 2 or len(name) > 255 or name[0] not in _FIRST or not _REST.issuperset(name):
            raise StorageError(
                f"{name[:80]!r} is not a volume name",
                cause="only [a-zA-Z0-9][a-zA-Z0-9_.-]+ and at most 255 characters",
            )
        return f"{self._root}/{name}/_data"

    def create(self, name: str) -> Volume:
        """The volume, made where missing; twice is safe."""
        path = self.path(name)
        try:
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            if not os.path.isdir(path):
                os.mkdir(path, 0o755)
                os.chmod(path, 0o755)
        except FileExistsError:
            pass
        except OSError as error:
            raise os_failure(f"cannot make volume {name}", error) from error
        return Volume(name, path)

    def find(self, name: str) -> Volume | None:
        """The volume, or None."""
        path = self.path(name)
        return Volume(name, path) if os.path.isdir(path) else None

    def names(self) -> tuple[str, ...]:
        """Every volume's name, sorted."""
        try:
            names = os.listdir(self._root)
        except FileNotFoundError:
            return ()
        return tuple(sorted(name for name in names if os.path.isdir(f"{self._root}/{name}/_data")))

    def remove(self, name: str) -> None:
        """Remove the volume and its data; missing is fine. In the namespace."""
        remove_tree(os.path.dirname(self.path(name)))


def copy_up(root_fd: int, container_path: str, volume_path: str) -> bool:
    """Fill a new, empty volume with what the image has at `container_path`; false where there is nothing to do.

    The path is resolved inside the root; links are copied as links. A volume that has anything in it is left alone. The
    directory's owner and mode go to the volume too. In the namespace, with the root file system mounted.
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
