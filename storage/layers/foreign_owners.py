"""Owners met while unpacking that the user namespace has no number for: what is written down of them, and told."""

from __future__ import annotations

import os
import stat
from contextlib import closing
from typing import TYPE_CHECKING

from storage.owner_book import LARGEST_ID, TrueOwner, owner_book_of
from storage.tar.reader import BLOCK, CHARACTER, DIRECTORY, FIFO, REGULAR, SYMLINK
from storage.trees.resolve import path_in_root

if TYPE_CHECKING:
    from storage.owner_book import OwnerBook
    from storage.tar.reader import TarEntry
    from storage.trees.copy_tree import LowerFile

_MAX_NOTES = 50
_KINDS = {
    REGULAR: stat.S_IFREG,
    DIRECTORY: stat.S_IFDIR,
    SYMLINK: stat.S_IFLNK,
    FIFO: stat.S_IFIFO,
    CHARACTER: stat.S_IFCHR,
    BLOCK: stat.S_IFBLK,
}


class ForeignOwners:
    """Those of one layer that is unpacked into `root_fd`. Without a `book` they are only told.

    Entries are known by their real paths: a name in an archive may lead through the layer's own symlinks.
    """

    def __init__(self, root_fd: int, book: OwnerBook | None) -> None:
        self._root_fd = root_fd
        self._book = book
        self._told: dict[tuple[int, int], tuple[int, bytes]] = {}

    def note(self, entry: TarEntry, fd: int, base: bytes = b"") -> None:
        """`entry` became the file `fd`, or `base` in that directory, and belongs to 0."""
        path, owner = self._path(fd, base), (entry.uid, entry.gid)
        if len(self._told) < _MAX_NOTES or owner in self._told:
            count, first = self._told.get(owner, (0, path))
            self._told[owner] = (count + 1, first)
        if self._book is not None and max(owner) <= LARGEST_ID and min(owner) >= 0:
            self._book.note(path, TrueOwner(*owner, entry.mode & 0o7777 | _KINDS[entry.kind]))

    def strike_out(self, parent_fd: int, base: bytes) -> None:
        """The entry was removed, with what it had in it."""
        if self._book is not None and self._book.is_there():
            self._book.forget(self._path(parent_fd, base))

    def link(self, target_fd: int, target: bytes, parent_fd: int, base: bytes) -> None:
        """The entry is one more name of `target`, in `target_fd`."""
        if self._book is None or not self._book.is_there():
            return
        true = self._book.find(self._path(target_fd, target))
        if true is not None:
            self._book.note(self._path(parent_fd, base), true)

    def take_over(self, lower: LowerFile, parent_fd: int, base: bytes) -> None:
        """The entry was copied from a lower layer."""
        if self._book is None:
            return
        with closing(owner_book_of(lower.root_fd)) as lower_book:
            true = lower_book.find(lower.path)
        if true is not None:
            self._book.note(self._path(parent_fd, base), true)

    def texts(self) -> list[str]:
        """A line for each owner, for the person."""
        return [
            f"owner {uid}:{gid} is outside the subordinate ids and became 0:0"
            f" ({count} entries, first {os.fsdecode(first[:200])!r})"
            for (uid, gid), (count, first) in self._told.items()
        ]

    def _path(self, fd: int, base: bytes) -> bytes:
        return path_in_root(self._root_fd, fd, base)
