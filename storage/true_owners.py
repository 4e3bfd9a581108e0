"""Whose an entry of a merged tree is, where its layer has an owner that the user namespace has no number for.

What stands in a layer's book holds for the merged tree as long as the entry is that layer's. What a container or a step
wrote lies in the upper directory and has the owner that it has there; only a directory that is in the upper one because
something in it changed is still the layer's. Where the file system gives an entry to anybody but 0 no book is asked.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from storage.errors import os_failure
from storage.owner_book import OwnerBook, owner_book_beside
from storage.whiteouts import is_opaque, is_opaque_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from storage.owner_book import TrueOwner

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Look(NamedTuple):
    """What one tree has at a path, and whether lower trees show there: beside it, or in it if it is a directory."""

    status: os.stat_result | None
    lets_show: bool


class BookOwners:
    """Finds the owners that a layer's own book has."""

    def __init__(self, book: OwnerBook) -> None:
        self._book = book

    def find(self, path: bytes, status: os.stat_result) -> TrueOwner | None:
        """As `TrueOwners.find`."""
        true = None if status.st_uid or status.st_gid else self._book.find(path)
        if true is None or stat.S_IFMT(true.mode) != stat.S_IFMT(status.st_mode):
            return None
        return _with_mode(true, status)


class KnownOwners:
    """Of a layer in the making: what `book` has, and what is found below it and then stands in `book` too."""

    def __init__(self, below: TrueOwners, book: OwnerBook) -> None:
        self._below, self._book = below, book
        self._own = BookOwners(book)

    def find(self, path: bytes, status: os.stat_result) -> TrueOwner | None:
        """As `TrueOwners.find`."""
        true = self._own.find(path, status)
        if true is None:
            true = self._below.find(path, status)
            if true is not None:
                self._book.note(path, true)
        return true


class TrueOwners:
    """Finds them for the merged tree of `layers`, lowest first, below `upper` ("" where there is none).

    With `copied` there is no overlay: the layers were copied into the tree that is asked about, and what is there as a
    layer has it was not changed. A context manager. Raises StorageError.
    """

    def __init__(self, layers: Sequence[str], upper: str = "", *, copied: bool = False) -> None:
        self._copied = copied
        self._stack = ExitStack()
        self._upper_fd = -1
        #: topmost first, down to the lowest that has a book
        self._trees: list[tuple[int, OwnerBook]] = []
        try:
            self._open(layers, upper)
        except OSError as error:
            self.close()
            raise os_failure("cannot look into the layers", error) from error

    def __enter__(self) -> TrueOwners:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        self._stack.close()

    def find(self, path: bytes, status: os.stat_result) -> TrueOwner | None:
        """Whose `path` is, which the file system says is as `status` has it; None where that is the truth."""
        if status.st_uid or status.st_gid:
            return None
        for place, (tree_fd, book) in enumerate(self._trees):
            true = book.find(path)
            if true is None:
                continue
            if stat.S_IFMT(true.mode) != stat.S_IFMT(status.st_mode) or not self._shows(place, path):
                return None
            if self._copied and not _is_unchanged(_look(tree_fd, path).status, status):
                return None
            return _with_mode(true, status)
        return None

    def _open(self, layers: Sequence[str], upper: str) -> None:
        trees = [
            *([(upper, OwnerBook(""))] if upper else []),
            *((tree, owner_book_beside(tree)) for tree in layers[::-1]),
        ]
        while trees and not trees[-1][1].is_there():
            trees.pop()
        for tree, book in trees:
            fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._stack.callback(os.close, fd)
            self._stack.callback(book.close)
            self._trees.append((fd, book))
        self._upper_fd = self._trees[0][0] if upper and self._trees else -1

    def _shows(self, place: int, path: bytes) -> bool:
        """Whether the entry that the tree at `place` has is the one that is seen."""
        for tree_fd, _book in self._trees[:place]:
            look = _look(tree_fd, path)
            if not look.lets_show or (look.status is not None and tree_fd != self._upper_fd):
                return False
        return True


def _with_mode(true: TrueOwner, status: os.stat_result) -> TrueOwner:
    """With the bits that an owner without a number could not have, where nobody changed the others."""
    kept = stat.S_ISLNK(status.st_mode) or stat.S_IMODE(true.mode) & 0o1777 == stat.S_IMODE(status.st_mode)
    return true if kept else true._replace(mode=status.st_mode)


def _is_unchanged(there: os.stat_result | None, status: os.stat_result) -> bool:
    if there is None or stat.S_ISDIR(there.st_mode):
        return there is not None
    return (there.st_size, there.st_mtime_ns) == (status.st_size, status.st_mtime_ns)


def _look(tree_fd: int, path: bytes) -> _Look:
    *above, name = path.split(b"/")
    fd = os.dup(tree_fd)
    covers = False
    try:
        for part in above:
            try:
                inner = os.open(part, _OPEN, dir_fd=fd)
            except FileNotFoundError:
                return _Look(None, not covers)
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                # a whiteout, or something else that is no directory
                return _Look(None, False)
            os.close(fd)
            fd = inner
            covers = covers or is_opaque(fd)
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        return _Look(status, stat.S_ISDIR(status.st_mode) and not (covers or is_opaque_at(fd, name)))
    except FileNotFoundError:
        return _Look(None, not covers)
    finally:
        os.close(fd)
