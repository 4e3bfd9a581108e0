"""What a container changed where no overlay tells: its whole tree held against the layers that it was copied from."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from storage.layers.lookup import LayerStack
from storage.trees.copy_tree import copy_tree
from storage.trees.walk import Step, Walk
from storage.whiteouts import FORGEABLE_PREFIXES, entry_path, make_whiteout

if TYPE_CHECKING:
    from collections.abc import Sequence

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_changes(root_fd: int, target_fd: int, trees: Sequence[str]) -> None:
    """Fill the empty `target_fd` with what an overlay of `trees`, lowest first, would have of the tree `root_fd` in its
    upper directory. OSError where something cannot be read or written.
    """
    copy_tree(root_fd, target_fd)
    _Pruning(trees).run(target_fd)


class _Pruning:
    """Takes out of a tree what the layers have as it is, and marks what they have and it has not."""

    def __init__(self, trees: Sequence[str]) -> None:
        #: of each directory on the way down to where the walk is: what the layers show, and what of it is gone
        self._lower: list[tuple[LayerStack, set[bytes]]] = []
        self._trees = trees

    def run(self, target_fd: int) -> None:
        try:
            self._enter(target_fd, LayerStack.open(self._trees))
            for step in Walk(target_fd):
                if step.leaving:
                    self._leave(step)
                elif stat.S_ISDIR(step.status.st_mode):
                    fd = os.open(step.name, _OPEN, dir_fd=step.dir_fd)
                    try:
                        self._enter(fd, self._lower[-1][0].enter(step.name))
                    finally:
                        os.close(fd)
                elif self._is_unchanged(step):
                    os.unlink(step.name, dir_fd=step.dir_fd)
            for name in self._lower[-1][1]:
                make_whiteout(target_fd, name)
        finally:
            for lower, _gone in self._lower:
                lower.close()

    def _enter(self, fd: int, lower: LayerStack) -> None:
        self._lower.append((lower, lower.names() - set(map(os.fsencode, os.listdir(fd)))))

    def _leave(self, step: Step) -> None:
        lower, gone = self._lower.pop()
        lower.close()
        fd = os.open(step.name, _OPEN, dir_fd=step.dir_fd)
        try:
            for name in gone:
                make_whiteout(fd, name)
            is_empty = not os.listdir(fd)
            # what was taken out has changed it
            os.utime(fd, ns=(step.status.st_atime_ns, step.status.st_mtime_ns))
        finally:
            os.close(fd)
        if is_empty and self._is_unchanged(step):
            os.rmdir(step.name, dir_fd=step.dir_fd)

    def _is_unchanged(self, step: Step) -> bool:
        found = self._lower[-1][0].find(step.name)
        if found is None:
            return False
        lower_fd, lower = found
        return _facts(step.dir_fd, step.name, step.status) == _facts(lower_fd, step.name, lower)


def _facts(dir_fd: int, name: bytes, status: os.stat_result) -> tuple[object, ...]:
    """What a program that changes an entry changes of it."""
    owner = (status.st_mode, status.st_uid, status.st_gid)
    path = entry_path(dir_fd, name)
    xattrs = {
        key: os.getxattr(path, key, follow_symlinks=False)
        for key in os.listxattr(path, follow_symlinks=False)
        if not key.startswith(FORGEABLE_PREFIXES)
    }
    if stat.S_ISDIR(status.st_mode):
        return (*owner, xattrs)
    link = os.readlink(name, dir_fd=dir_fd) if stat.S_ISLNK(status.st_mode) else b""
    return (*owner, xattrs, status.st_size, status.st_mtime_ns, status.st_rdev, link)
