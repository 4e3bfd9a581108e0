"""Descriptors of the directories that nodes stand for: opened name by name from a root, never by a path, and kept.

All are O_PATH with O_NOFOLLOW: neither a symlink in a layer nor one that a container makes leads anywhere. A descriptor
handed out is good until the caller next awaits: others may push it out of the cache then.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from storage.overlay.fuse.nodes import Directory, LowerDirectory
from storage.overlay.fuse.numbers import ROOT_NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterator

OPEN_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: of the two that a rename needs and what else an operation looks at, none may push out another
_LEAST = 16


class Descriptors:
    """The cache: at most `limit` open directories beside the roots."""

    def __init__(self, upper_root_fd: int, limit: int) -> None:
        self._upper_root_fd = upper_root_fd
        self._limit = max(limit, _LEAST)
        self._open: dict[Directory | LowerDirectory, int] = {}

    def upper(self, directory: Directory) -> int:
        """A descriptor of the directory's part of the upper directory, which it must have."""
        fd = self._open.get(directory)
        return fd if fd is not None else self._reach(directory)

    def lower(self, directory: LowerDirectory) -> int:
        """A descriptor of a directory of a lower layer."""
        fd = self._open.get(directory)
        return fd if fd is not None else self._reach(directory)

    def forget(self, directory: Directory) -> None:
        """Close what is kept of a directory that goes away or changes its place."""
        fd = self._open.pop(directory, None)
        if fd is not None:
            os.close(fd)

    def close(self) -> None:
        """Close all that are kept."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _reach(self, directory: Directory | LowerDirectory) -> int:
        way = []
        above: Directory | LowerDirectory | None = directory
        while above is not None and above.parent is not None and above not in self._open:
            way.append(above)
            above = above.parent
        assert above is not None
        if isinstance(above, Directory) and above.parent is None and above.number != ROOT_NUMBER:
            raise FileNotFoundError(errno.ENOENT, "the directory was removed")
        start = self._open.get(above)
        if start is None:
            start = above.layer.root_fd if isinstance(above, LowerDirectory) else self._upper_root_fd
        if not way:
            return start
        fd = start
        for step in reversed(way):
            try:
                below = os.open(step.name, OPEN_DIRECTORY, dir_fd=fd)
            finally:
                if fd != start:
                    os.close(fd)
            fd = below
        self._keep(directory, fd)
        return fd

    def _keep(self, directory: Directory | LowerDirectory, fd: int) -> None:
        if len(self._open) >= self._limit:
            # the oldest half at once: what is in use is among the newest
            for old in list(self._open)[: self._limit // 2]:
                os.close(self._open.pop(old))
        self._open[directory] = fd


@contextmanager
def readable(directory_fd: int) -> Iterator[int]:
    """The directory that an O_PATH descriptor names, opened for reading."""
    fd = os.open(".", _READ, dir_fd=directory_fd)
    try:
        yield fd
    finally:
        os.close(fd)
