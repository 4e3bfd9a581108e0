"""Reads a directory of the merged tree: what the upper directory and the lower layers have in it, put together.

Whiteouts are understood in all three forms, in every layer: the character device 0:0, `.wh.NAME` and `.wh..wh..opq` as
in an archive, and the xattrs `user.overlay.whiteout` and `user.overlay.opaque`.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, NamedTuple

from storage.overlay.fuse.descriptors import readable
from storage.overlay.fuse.entries import is_whiteout, read_mark, scan
from storage.overlay.fuse.index import IndexedStatus, has_xattrs, hides_below
from storage.overlay.fuse.nodes import LowerDirectory
from storage.whiteouts import META_PREFIX, OPAQUE_NAME, PREFIX

if TYPE_CHECKING:
    import os

    from storage.overlay.fuse.descriptors import Descriptors
    from storage.overlay.fuse.index import LayerIndex, Record
    from storage.overlay.fuse.nodes import Directory

    Status = os.stat_result | IndexedStatus

#: an archive's, and the one that fuse-overlayfs writes
OPAQUE_NAMES = (OPAQUE_NAME, b".wh..opq")


class Found:
    """What a name leads to: the topmost entry, and for directories those that are merged into it."""

    __slots__ = ("in_upper", "is_open", "lowers", "may_have_xattrs", "source", "status")

    def __init__(self, status: Status, source: LowerDirectory | None, *, may_have_xattrs: bool) -> None:
        self.status = status
        self.may_have_xattrs = may_have_xattrs
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
        if lower.layer.indexed is not None:
            merge.add_indexed(lower.layer.indexed, lower)
        else:
            merge.add(descriptors.lower(lower), lower)
    return Content(merge.found, tuple(shown), merge.under, merge.dotted)


def find_indexed(name: bytes, record: Record, lower: LowerDirectory) -> Found:
    """What a record of an index says, for a name that nothing is merged with."""
    found = Found(IndexedStatus(record, lower.layer.device), lower, may_have_xattrs=has_xattrs(record))
    if found.is_open:
        found.lowers.append(LowerDirectory(lower.layer, lower, name, record[7]))
    return found


def is_dotted_whiteout(mode: int, size: int) -> bool:
    """Whether what has a whiteout's name, with `mode` as stat(2) gives it and `size` bytes, is one: an archive's is an
    empty file. What holds anything is somebody's data,
    which the kernel's overlay lets a container make by such a name.
    """
    return stat.S_ISREG(mode) and not size


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
                if name.startswith(PREFIX) and is_dotted_whiteout(status.st_mode, status.st_size):
                    if lower is None:
                        self.dotted.append(name)
                    self._take_dotted(name, hidden)
                elif is_whiteout(fd, name, status, mark):
                    hidden.add(name)
                else:
                    self._take(name, status, lower)
        self._finish(mark, hidden, lower)

    def add_indexed(self, index: LayerIndex, lower: LowerDirectory) -> None:
        """As `add`, for a directory of a layer that has an index."""
        hidden: set[bytes] = set()
        directory = index.directory(lower.place)
        for name, record in index.records(directory):
            if hides_below(record):
                hidden.add(name)
            elif name.startswith(PREFIX) and is_dotted_whiteout(record[3], record[9]):
                self._take_dotted(name, hidden)
            else:
                self._take(name, IndexedStatus(record, lower.layer.device), lower, may_have_xattrs=has_xattrs(record))
        self._finish(directory.mark, hidden, lower)

    def _take_dotted(self, name: bytes, hidden: set[bytes]) -> None:
        if name in OPAQUE_NAMES:
            self.is_opaque = True
        elif not name.startswith(META_PREFIX):
            hidden.add(name[len(PREFIX) :])

    def _finish(self, mark: bytes, hidden: set[bytes], lower: LowerDirectory | None) -> None:
        self.is_opaque |= mark == b"y"
        # a whiteout hides what lies below its layer, not beside it
        self._hidden |= hidden
        if lower is not None:
            self._hidden_in_lowers |= hidden

    def _take(self, name: bytes, status: Status, lower: LowerDirectory | None, *, may_have_xattrs: bool = True) -> None:
        if lower is not None and name not in self._hidden_in_lowers:
            self.under.add(name)
        if name in self._hidden:
            return
        known = self.found.get(name)
        if known is None:
            self.found[name] = known = Found(status, lower, may_have_xattrs=may_have_xattrs)
        elif not known.is_open:
            return
        elif not stat.S_ISDIR(status.st_mode):
            known.is_open = False
            return
        if known.is_open and lower is not None:
            place = status.place if isinstance(status, IndexedStatus) else 0
            known.lowers.append(LowerDirectory(lower.layer, lower, name, place))
