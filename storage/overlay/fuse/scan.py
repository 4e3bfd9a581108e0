"""Reads a directory of the merged tree: what the upper directory and the lower layers have in it, put together.

Whiteouts are understood in all three forms, in every layer: the character device 0:0, `.wh.NAME` and `.wh..wh..opq` as
in an archive, and the xattrs `user.overlay.whiteout` and `user.overlay.opaque`.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from storage.overlay.fuse.descriptors import readable
from storage.overlay.fuse.nodes import LowerDirectory
from storage.whiteouts import META_PREFIX, OPAQUE_NAME, OPAQUE_XATTR, PREFIX, WHITEOUT_XATTR, entry_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.overlay.fuse.descriptors import Descriptors
    from storage.overlay.fuse.nodes import Directory

#: an archive's, and the one that fuse-overlayfs writes
_OPAQUE_NAMES = (OPAQUE_NAME, b".wh..opq")


class Found:
    """What a name leads to: the topmost entry, and for directories those that are merged into it."""

    __slots__ = ("in_upper", "is_open", "lowers", "source", "status")

    def __init__(self, status: os.stat_result, source: LowerDirectory | None) -> None:
        self.status = status
        self.in_upper = source is None
        self.source = source
        self.lowers: list[LowerDirectory] = []
        self.is_open = stat.S_ISDIR(status.st_mode)
        """Whether directories below it still are merged into it."""


class Content(NamedTuple):
    """A directory's content. `lowers` are those that show through; `under` the names that they have;
    `dotted` the whiteouts of the upper directory in an archive's form.
    """

    found: dict[bytes, Found]
    lowers: tuple[LowerDirectory, ...]
    under: set[bytes]
    dotted: list[bytes]


def read_merged(directory: Directory, descriptors: Descriptors) -> Content:
    """Everything in the directory."""
    merge = _Merge()
    if directory.upper:
        merge.add(descriptors.upper(directory), None)
    shown = []
    for lower in directory.lowers:
        if merge.is_opaque:
            break
        shown.append(lower)
        merge.add(descriptors.lower(lower), lower)
    return Content(merge.found, tuple(shown), merge.under, merge.dotted)


class _Merge:
    """Layers put one below the other."""

    def __init__(self) -> None:
        self.found: dict[bytes, Found] = {}
        self.under: set[bytes] = set()
        self.is_opaque = False
        self.dotted: list[bytes] = []
        self._hidden: set[bytes] = set()
        self._hidden_in_lowers: set[bytes] = set()

    def add(self, directory_fd: int, lower: LowerDirectory | None) -> None:
        """Put the directory below those added so far; the upper one, first of all, has no `lower`."""
        hidden: set[bytes] = set()
        with readable(directory_fd) as fd:
            mark = read_mark(fd)
            for name, status in scan(fd):
                if name.startswith(PREFIX):
                    if lower is None:
                        self.dotted.append(name)
                    if name in _OPAQUE_NAMES:
                        self.is_opaque = True
                    elif not name.startswith(META_PREFIX):
                        hidden.add(name[len(PREFIX) :])
                elif is_whiteout(fd, name, status, mark):
                    hidden.add(name)
                else:
                    self._take(name, status, lower)
        self.is_opaque |= mark == b"y"
        # a whiteout hides what lies below its layer, not beside it
        self._hidden |= hidden
        if lower is not None:
            self._hidden_in_lowers |= hidden

    def _take(self, name: bytes, status: os.stat_result, lower: LowerDirectory | None) -> None:
        if lower is not None and name not in self._hidden_in_lowers:
            self.under.add(name)
        if name in self._hidden:
            return
        known = self.found.get(name)
        if known is None:
            self.found[name] = known = Found(status, lower)
        elif not known.is_open:
            return
        elif not stat.S_ISDIR(status.st_mode):
            known.is_open = False
            return
        if known.is_open and lower is not None:
            known.lowers.append(LowerDirectory(lower.root_fd, lower, name))


def scan(directory_fd: int) -> Iterator[tuple[bytes, os.stat_result]]:
    """Names and attributes of what the directory has."""
    with os.scandir(directory_fd) as entries:
        for entry in entries:
            yield os.fsencode(entry.name), entry.stat(follow_symlinks=False)


def read_mark(directory_fd: int) -> bytes:
    """The directory's mark: b"y" opaque, b"x" with whiteouts that are xattrs, or nothing."""
    try:
        return os.getxattr(directory_fd, OPAQUE_XATTR)
    except OSError:
        return b""


def is_whiteout(directory_fd: int, name: bytes, status: os.stat_result, mark: bytes) -> bool:
    """Whether the entry hides one below, in a form that is not its name."""
    if stat.S_ISCHR(status.st_mode):
        return status.st_rdev == 0
    if mark != b"x" or status.st_size or not stat.S_ISREG(status.st_mode):
        return False
    try:
        os.getxattr(entry_path(directory_fd, name), WHITEOUT_XATTR, follow_symlinks=False)
    except OSError:
        return False
    return True
