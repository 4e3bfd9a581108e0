"""Walks a directory tree by descriptors: any depth, no path longer than a name, no symlink followed.

One directory is open at a time besides the root: the way back up is `..`, and what it leads to must be the directory we
came from, so that a directory moved away while we are in it ends the walk instead of leading it out of the tree.
"""

from __future__ import annotations

import os
import stat

from storage.errors import StorageError
from storage.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Step(NamedTuple):
    """An entry met on the way: `name` in the directory `dir_fd`, which is good until the next step.

    A directory comes twice: with `leaving` false before its content, true after it.
    """

    dir_fd: int
    name: bytes
    status: os.stat_result
    leaving: bool
    depth: int


class FirstNames:
    """Under which path each file of several names was met first, in one walk or over several."""

    def __init__(self) -> None:
        self._paths: dict[tuple[int, int], bytes] = {}

    def find(self, status: os.stat_result, path: bytes) -> bytes | None:
        """The first path of the file that `path` names too; None where it is the first, or can be the only one."""
        if status.st_nlink < 2 or stat.S_ISDIR(status.st_mode):
            return None
        inode = (status.st_dev, status.st_ino)
        found = self._paths.get(inode)
        if found is None:
            self._paths[inode] = path
        return found


class Walk:
    """An iterator of steps over what lies below `root_fd`, names sorted.

    `skip` after a directory's first step leaves it out. A directory that cannot be entered is told to `passed_over`,
    where that is given, and has nothing in it then; otherwise it ends the walk.
    """

    def __init__(self, root_fd: int, passed_over: Callable[[OSError], object] | None = None) -> None:
        self._fd = os.open(".", _OPEN, dir_fd=root_fd)
        self._passed_over = passed_over
        self._skip = False
        self.unreadable = False

    def skip(self) -> None:
        """Do not go into the directory just met; it is not met a second time either."""
        self._skip = True

    def __iter__(self) -> Iterator[Step]:
        try:
            yield from self._steps()
        finally:
            os.close(self._fd)

    def _steps(self) -> Iterator[Step]:
        above: list[tuple[list[bytes], bytes, os.stat_result, os.stat_result]] = []
        names = self._names()
        while True:
            if names:
                name = names.pop()
                try:
                    status = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield Step(self._fd, name, status, False, len(above))
                if stat.S_ISDIR(status.st_mode) and not self._skip:
                    came_from = os.fstat(self._fd)
                    if self._entered(name):
                        above.append((names, name, status, came_from))
                        names = self._names()
                    else:
                        yield Step(self._fd, name, status, True, len(above))
                self._skip = False
            elif above:
                names, name, status, came_from = above.pop()
                self._move(b"..")
                if not os.path.samestat(os.fstat(self._fd), came_from):
                    raise StorageError("a directory was moved while it was being read")
                yield Step(self._fd, name, status, True, len(above))
            else:
                return

    def _entered(self, name: bytes) -> bool:
        try:
            self._move(name)
        except OSError as error:
            if self._passed_over is None:
                raise
            self._passed_over(error)
            return False
        return True

    def _names(self) -> list[bytes]:
        """The names in the current directory, last first."""
        return sorted(map(os.fsencode, os.listdir(self._fd)), reverse=True)

    def _move(self, name: bytes) -> None:
        fd = os.open(name, _OPEN, dir_fd=self._fd)
        os.close(self._fd)
        self._fd = fd
