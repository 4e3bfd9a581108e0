"""Adds one file, or one directory with all in it, to an archive: what cannot be read is told, and the rest written."""

from __future__ import annotations

import errno
import os
import stat
from typing import TYPE_CHECKING

from storage.trees.walk import Step, Walk

if TYPE_CHECKING:
    from storage.tar.writer import TarWriter

#: what was there a moment ago: it was removed, or something else has its name
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE, errno.ENXIO)
_MOST_TOLD = 50
_UNREADABLE = (errno.EACCES, errno.EPERM)


class Source:
    """Adds to `writer`; `unread` has a sentence for each entry that could not be read."""

    def __init__(self, writer: TarWriter) -> None:
        self._writer = writer
        self._path: list[bytes] = []
        self.unread: list[str] = []

    def add(self, step: Step, name: bytes) -> None:
        """Add the entry as `name`, and what lies in it below that. OSError where the archive cannot be written,
        StorageError where a directory was moved while it was read.
        """
        self._add_entry(step, name)
        if not stat.S_ISDIR(step.status.st_mode):
            return
        self._path = [name]
        try:
            fd = os.open(step.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=step.dir_fd)
        except OSError as error:
            self._pass_over(error)
            return
        try:
            for inner in Walk(fd, self._pass_over):
                if inner.leaving:
                    self._path.pop()
                    continue
                inner_name = b"/".join((*self._path, inner.name))
                if stat.S_ISDIR(inner.status.st_mode):
                    self._path.append(inner.name)
                self._add_entry(inner, inner_name)
        finally:
            os.close(fd)

    def _add_entry(self, step: Step, name: bytes) -> None:
        try:
            self._writer.add_entry(step, name)
        except OSError as error:
            self._tell(name, error)

    def _pass_over(self, error: OSError) -> None:
        self._tell(b"/".join(self._path), error)

    def _tell(self, name: bytes, error: OSError) -> None:
        if error.errno in _GONE:
            return
        # anything else may have come between a header and its data
        if error.errno not in _UNREADABLE:
            raise error
        if len(self.unread) < _MOST_TOLD:
            self.unread.append(f"cannot read {os.fsdecode(name)!r}: {os.strerror(error.errno or 0)}")
