"""Directories that a layer needs but does not describe.

An archive may hold `tmp/x` without `tmp`. The directory made for it hides, in the merged tree, the owner and mode
that a lower layer gave `tmp`: so it takes them over from there, after all layers below are unpacked.
"""

from __future__ import annotations

import errno
import os
from contextlib import closing
from typing import TYPE_CHECKING

from storage.owner_book import owner_book_of
from storage.syscalls import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from storage.trees.copy_tree import copy_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from storage.owner_book import OwnerBook

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY
_STRICT = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
_ELSEWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV, errno.ENAMETOOLONG)


def inherit_directories(
    root_fd: int, implied: Iterable[bytes], lower_roots: Sequence[int], book: OwnerBook | None = None
) -> None:
    """Give each `implied` directory (UnpackResult.implied) of the layer what the topmost lower layer that has it says;
    `book` gets an owner that the lower layer's book has.

    `lower_roots` come topmost first and have inherited already. Twice is safe. OSError where something fails.
    """
    for path in implied:
        fd = _open(root_fd, path)
        if fd is None:
            continue
        try:
            lower_fd = _inherit(fd, path, lower_roots)
            if book is not None and lower_fd is not None:
                _take_over_owner(path, lower_fd, book)
        finally:
            os.close(fd)


def _inherit(fd: int, path: bytes, lower_roots: Sequence[int]) -> int | None:
    """The layer it took after, if any has the directory."""
    for lower_fd in lower_roots:
        source_fd = _open(lower_fd, path)
        if source_fd is not None:
            try:
                copy_metadata(source_fd, fd)
            finally:
                os.close(source_fd)
            return lower_fd
    return None


def _take_over_owner(path: bytes, lower_fd: int, book: OwnerBook) -> None:
    with closing(owner_book_of(lower_fd)) as lower_book:
        true = lower_book.find(path)
    if true is not None:
        book.note(path, true)


def _open(root_fd: int, path: bytes) -> int | None:
    try:
        return openat2(root_fd, path or b".", _DIRECTORY, _STRICT)
    except OSError as error:
        if error.errno in _ELSEWHERE:
            return None
        raise
