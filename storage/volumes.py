"""Named volumes: directories `ROOT/<name>/_data`. Names are checked here too, since they become paths.

Which volumes there are is the caller's to know; this keeps their files. A new volume may wait for what the image has
where it is first mounted: a mark beside its data says so, until it is filled or found to have something already.
"""

from __future__ import annotations

import os
from contextlib import suppress

from storage.errors import StorageError, os_failure
from storage.private_directories import make_private_directory

_FIRST = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
_REST = _FIRST | frozenset("_.-")
_FILL_MARK = "fill"


class VolumeStore:
    """Volumes below `root_dir`."""

    def __init__(self, root_dir: str) -> None:
        self._root = root_dir

    def directory(self, name: str) -> str:
        """Everything of the volume, its data and its mark: what a removal removes. StorageError for no volume name."""
        if len(name) < 2 or len(name) > 255 or name[0] not in _FIRST or not _REST.issuperset(name):
            raise StorageError(
                f"{name[:80]!r} is not a volume name",
                cause="only [a-zA-Z0-9][a-zA-Z0-9_.-]+ and at most 255 characters",
            )
        return f"{self._root}/{name}"

    def data(self, name: str) -> str:
        """What is mounted, or would be. StorageError for what is no volume name."""
        return f"{self.directory(name)}/_data"

    def create(self, name: str, *, to_fill: bool = False) -> None:
        """Make the volume where it is missing; with `to_fill` it waits for `fill`. Twice is safe.

        Raises StorageError.
        """
        path = self.data(name)
        try:
            make_private_directory(self.directory(name))
            if to_fill:
                # before there are data: where this process is killed, they are known for what nobody has used
                os.close(os.open(self._mark(name), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
            if not os.path.isdir(path):
                os.mkdir(path, 0o755)
                os.chmod(path, 0o755)
        except FileExistsError:
            pass
        except OSError as error:
            raise os_failure(f"cannot make volume {name}", error) from error

    def waits_to_be_filled(self, name: str) -> bool:
        """Whether the volume is new and nothing has been copied into it."""
        return os.path.exists(self._mark(name))

    def fill(self, name: str, root_fd: int, container_path: str, directory: str = "") -> None:
        """Copy what the image has at `container_path` into the volume, once: one that has something stays as it is.
        `directory` is mounted in place of the volume's own, where it is given.

        The mark goes last: a copy that was cut short is noticed, but not made again over what may be data by then. In
        the namespace, with the root file system mounted at `root_fd`. Raises StorageError.
        """
        # the copying of trees, which only a new volume needs
        from storage.trees.fill import fill_volume

        fill_volume(root_fd, container_path, directory or self.data(name))
        self.note_filled(name)

    def note_filled(self, name: str) -> None:
        """Have the volume wait for nothing."""
        with suppress(FileNotFoundError):
            os.unlink(self._mark(name))

    def _mark(self, name: str) -> str:
        return f"{self.directory(name)}/{_FILL_MARK}"
