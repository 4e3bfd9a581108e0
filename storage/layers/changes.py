"""What a container's tree changed over its layers, as Docker's `diff` tells it, from an overlay's upper directory or,
where there is no overlay, from the whole tree.

A directory is changed by what is changed in it, and so are those above it; times of directories do not count, those of
files do. Of a directory that was removed, or is new, what was in it: one line for the removed one, one for each entry
of the new one. Whiteouts and opaque directories are read in both forms.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from storage.layers.lookup import LayerStack
from storage.trees.walk import Step, Walk
from storage.whiteouts import is_opaque, is_whiteout

if TYPE_CHECKING:
    from collections.abc import Sequence

MODIFIED, ADDED, DELETED = 0, 1, 2
"""Docker's numbers for the kinds of changes."""

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Change(NamedTuple):
    """A path below the root, without a slash in front, and what became of it."""

    kind: int
    path: bytes


class _Level(NamedTuple):
    """A directory on the way down to where the walk is."""

    path: bytes
    lower: LayerStack
    #: whether what is not in it is gone; else whiteouts say so
    complete: bool
    #: what is gone and not told yet, the last name first
    gone: list[bytes]


def find_changes(root_fd: int, trees: Sequence[str], *, complete: bool = False) -> list[Change]:
    """The changes of the tree `root_fd` over `trees`, lowest first, sorted as a walk meets them.

    `root_fd` is an upper directory, or with `complete` the whole tree. OSError where something cannot be read,
    StorageError where a directory was moved meanwhile.
    """
    return _Comparison(complete).run(root_fd, LayerStack.open(trees))


class _Comparison:
    def __init__(self, complete: bool) -> None:
        self._complete = complete
        self._levels: list[_Level] = []
        #: those of them that are told of once something in them has changed
        self._untold: list[bytes] = []
        self._changes: list[Change] = []

    def run(self, root_fd: int, lower: LayerStack) -> list[Change]:
        try:
            self._enter(b"", root_fd, lower, complete=self._complete)
            walk = Walk(root_fd)
            for step in walk:
                if step.leaving:
                    self._leave()
                    continue
                self._tell_gone(before=step.name)
                if not self._meet(step) and stat.S_ISDIR(step.status.st_mode):
                    walk.skip()
            self._tell_gone()
        finally:
            for level in self._levels:
                level.lower.close()
        return self._changes

    def _meet(self, step: Step) -> bool:
        """Tell what became of an entry; whether it is a directory that was entered."""
        level = self._levels[-1]
        path = level.path + b"/" + step.name if level.path else step.name
        found = level.lower.find(step.name)
        if is_whiteout(step.dir_fd, step.name, step.status):
            if found is not None:
                self._tell(DELETED, path)
            return False
        if found is None:
            self._tell(ADDED, path)
        else:
            self._compare(path, step, *found)
        if not stat.S_ISDIR(step.status.st_mode):
            return False
        try:
            fd = os.open(step.name, _OPEN, dir_fd=step.dir_fd)
        except FileNotFoundError:
            return False  # removed a moment ago
        try:
            self._enter(path, fd, level.lower.enter(step.name), complete=level.complete)
        finally:
            os.close(fd)
        return True

    def _compare(self, path: bytes, step: Step, lower_fd: int, lower: os.stat_result) -> None:
        status = step.status
        was_directory, is_directory = stat.S_ISDIR(lower.st_mode), stat.S_ISDIR(status.st_mode)
        if was_directory and is_directory:
            if _rights(lower) != _rights(status):
                self._tell(MODIFIED, path)
            else:
                self._untold.append(path)
            return
        if _facts(lower_fd, step.name, lower) != _facts(step.dir_fd, step.name, status):
            self._tell(MODIFIED, path)
        if was_directory:
            stack = self._levels[-1].lower.enter(step.name)
            for name in sorted(stack.names()):
                self._tell(DELETED, path + b"/" + name)
            stack.close()

    def _enter(self, path: bytes, fd: int, lower: LayerStack, *, complete: bool) -> None:
        complete = complete or is_opaque(fd)
        gone = sorted(lower.names() - set(map(os.fsencode, os.listdir(fd))), reverse=True) if complete else []
        self._levels.append(_Level(path, lower, complete, gone))

    def _leave(self) -> None:
        self._tell_gone()
        level = self._levels.pop()
        level.lower.close()
        if self._untold and self._untold[-1] == level.path:
            self._untold.pop()

    def _tell_gone(self, before: bytes | None = None) -> None:
        level = self._levels[-1]
        while level.gone and (before is None or level.gone[-1] < before):
            name = level.gone.pop()
            self._tell(DELETED, level.path + b"/" + name if level.path else name)

    def _tell(self, kind: int, path: bytes) -> None:
        for above in self._untold:
            self._changes.append(Change(MODIFIED, above))
        self._untold.clear()
        self._changes.append(Change(kind, path))


def _rights(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mode, status.st_uid, status.st_gid


def _facts(dir_fd: int, name: bytes, status: os.stat_result) -> tuple[object, ...]:
    link = os.readlink(name, dir_fd=dir_fd) if stat.S_ISLNK(status.st_mode) else b""
    return (*_rights(status), status.st_rdev, status.st_size, status.st_mtime_ns, link)
