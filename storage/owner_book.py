"""Owners that the user namespace has no number for, written down beside a layer's tree.

Such an entry is unpacked as 0's, without its set-id bits. Whose it is in truth stands in a database beside the tree,
which nothing in a container reaches: an attribute in the tree could be set there by anybody who may write the file. So
what a container or a build's step wrote has the owner that the file system says; only what was unpacked has another.
"""

from __future__ import annotations

import os
from contextlib import contextmanager

from storage.errors import StorageError
from storage.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from typing import Any

BOOK_NAME = "owners"
LARGEST_ID = (1 << 32) - 2
_LARGEST_MODE = 0o177777
_MAKE = "CREATE TABLE owner (path BLOB PRIMARY KEY, uid INTEGER, gid INTEGER, mode INTEGER) WITHOUT ROWID"


class TrueOwner(NamedTuple):
    """Whose an entry is; `mode` with its kind, as stat(2) has it, and its set-id bits."""

    uid: int
    gid: int
    mode: int


class OwnerBook:
    """The book at `path`, "" for one that goes with the process; there is no file before the first note.

    What is noted is there after `close`. Raises StorageError for a damaged book.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def is_there(self) -> bool:
        """Whether anything was written down."""
        return self._connection is not None or os.path.exists(self._path)

    def note(self, path: bytes, owner: TrueOwner) -> None:
        """Write down whose the entry `path` of the tree is."""
        with self._translated():
            self._open().execute("INSERT OR REPLACE INTO owner VALUES (?, ?, ?, ?)", (path, *owner))

    def forget(self, path: bytes) -> None:
        """Strike out the entry `path`, and what lies below it."""
        if self.is_there():
            with self._translated():
                self._open().execute("DELETE FROM owner WHERE path = ? OR (path > ? AND path < ?)", _below(path))

    def find(self, path: bytes) -> TrueOwner | None:
        """Whose the entry is, where it is written down."""
        if not self.is_there():
            return None
        with self._translated():
            row = self._open().execute("SELECT uid, gid, mode FROM owner WHERE path = ?", (path,)).fetchone()
            return None if row is None else _owner(row)

    def entries(self) -> Iterator[tuple[bytes, TrueOwner]]:
        """All that is written down, by path."""
        if not self.is_there():
            return
        with self._translated():
            for path, *row in self._open().execute("SELECT path, uid, gid, mode FROM owner ORDER BY path"):
                yield path, _owner(row)

    def close(self) -> None:
        """Keep what was noted, and let go of the file."""
        if self._connection is not None:
            with self._translated():
                connection, self._connection = self._connection, None
                connection.execute("COMMIT")
                connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            import sqlite3  # few layers have such owners

            is_new = not self.is_there()
            if is_new and self._path:
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            connection = sqlite3.connect(self._path, isolation_level=None)
            # a layer is synced as a whole, and one that is not whole is made again
            connection.execute("PRAGMA journal_mode = OFF")
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN")
            if is_new:
                connection.execute(_MAKE)
            self._connection = connection
        return self._connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        import sqlite3

        try:
            yield
        except (sqlite3.Error, ValueError) as error:
            mend = "sandbox system check --repair"
            raise StorageError(f"cannot use the owners at {self._path}", cause=str(error), mend=mend) from error


def owner_book_beside(tree: str) -> OwnerBook:
    """The book of the layer whose tree is at `tree`."""
    return OwnerBook(f"{os.path.dirname(tree)}/{BOOK_NAME}")


def owner_book_of(tree_fd: int) -> OwnerBook:
    """As `owner_book_beside`, by a descriptor of the tree."""
    return owner_book_beside(os.readlink(f"/proc/self/fd/{tree_fd}"))


def find_other_owner(expected: OwnerBook, found: OwnerBook) -> bytes | None:
    """The first path of which the two books say different things."""
    left, right = expected.entries(), found.entries()
    while True:
        wanted, has = next(left, None), next(right, None)
        if wanted != has:
            return min(entry[0] for entry in (wanted, has) if entry is not None)
        if wanted is None:
            return None


def _below(path: bytes) -> tuple[bytes, bytes, bytes]:
    # "0" is what comes after "/"
    return path, path + b"/", path + b"0"


def _owner(row: Sequence[Any]) -> TrueOwner:
    """What a row says, looked at: a damaged book gives no owner that an archive cannot hold."""
    uid, gid, mode = row
    if not all(isinstance(number, int) for number in (uid, gid, mode)):
        raise ValueError("an owner that is no number")
    if not (0 <= uid <= LARGEST_ID and 0 <= gid <= LARGEST_ID and 0 <= mode <= _LARGEST_MODE):
        raise ValueError("an owner out of range")
    return TrueOwner(uid, gid, mode)
