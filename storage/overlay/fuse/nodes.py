"""Inodes as the server knows them, each kept as the kernel is answered: with its attributes ready to be sent.

A node is made when its directory is first read and lives as long as a name or the kernel refers to it. Its number is
that of the file it was first found in, a lower one or one of the upper directory (see `numbers.py`), so that it is the
same after copy-up and after another mount.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pyfuse3

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from storage.overlay.fuse.index import IndexedStatus, LayerIndex, Record

FOREVER = 1e8
"""Seconds that the kernel may keep an answer: nobody but us changes the tree."""


class Layer(NamedTuple):
    """A lower layer: its root directory, and its index if it has one."""

    root_fd: int
    device: int
    indexed: LayerIndex | None = None


class LowerDirectory:
    """A directory of a lower layer, found by its way from the layer's root; layers never change."""

    __slots__ = ("layer", "name", "parent", "place")

    def __init__(self, layer: Layer, parent: LowerDirectory | None, name: bytes, place: int = 0) -> None:
        self.layer = layer
        self.parent = parent
        self.name = name
        self.place = place
        """In the layer's index."""


class Node:
    """An inode. `parent` and `name` are where it is found; for a lower file with several names, where its data is."""

    __slots__ = (
        "entry",
        "given",
        "handles",
        "kernel_mtime",
        "links",
        "lookups",
        "lower",
        "name",
        "number",
        "orphan_fd",
        "parent",
        "stale",
        "upper",
        "xattrs",
    )

    def __init__(self, number: int, entry: pyfuse3.EntryAttributes, parent: Directory | None, name: bytes) -> None:
        self.number = number
        self.entry = entry
        self.parent = parent
        """None for the root, and for what has no name any more."""
        self.name = name
        self.upper = False
        self.lower: LowerDirectory | None = None
        """For a file that is not in the upper directory: the lower directory that has it, as `name`."""
        self.orphan_fd = -1
        """O_PATH, of what has no name any more and is no regular file."""
        self.lookups = 0
        self.stale = False
        """Whether `entry` must be read anew from the upper directory."""
        self.given = False
        """Whether the kernel was given its data."""
        self.kernel_mtime: int | None = None
        """Its modification time for the kernel, once pages that were written back have set another on the disk."""
        self.handles: list[Handle] | None = None
        self.links: list[tuple[Directory, bytes]] | None = None
        """All names known of a file that has or had several; None where `parent` and `name` say it all."""
        self.xattrs: Sequence[str] | None = None
        """Names of its extended attributes, our own left out; None until asked for."""

    def is_linked(self) -> bool:
        """Whether it has a name."""
        return self.parent is not None


class Directory(Node):
    """A directory: its content, once read, is the truth."""

    __slots__ = ("children", "listing", "lowers", "under")

    def __init__(self, number: int, entry: pyfuse3.EntryAttributes, parent: Directory | None, name: bytes) -> None:
        super().__init__(number, entry, parent, name)
        self.children: dict[bytes, Node] | None = None
        self.listing: list[bytes] | None = None
        """Names, in the order that those who read the directory are told; None once they changed."""
        self.lowers: tuple[LowerDirectory, ...] = ()
        """What it merges, topmost first."""
        self.under: set[bytes] | None = None
        """Names that lower layers have here. None while no name was added or taken: then they are the children's."""


def make_entry(status: os.stat_result | IndexedStatus, number: int) -> pyfuse3.EntryAttributes:
    """The kernel's form of `status`."""
    entry = pyfuse3.EntryAttributes()
    entry.entry_timeout = FOREVER
    entry.attr_timeout = FOREVER
    entry.st_ino = number
    fill_entry(entry, status)
    return entry


def make_indexed_entry(record: Record, number: int) -> pyfuse3.EntryAttributes:
    """The kernel's form of a record of an index; the same as `make_entry`, in fewer steps."""
    entry = pyfuse3.EntryAttributes()
    entry.entry_timeout = entry.attr_timeout = FOREVER
    entry.st_ino = number
    (
        _, _, _, entry.st_mode, entry.st_nlink, entry.st_uid, entry.st_gid, _, entry.st_rdev, entry.st_size,
        entry.st_blocks, _, entry.st_atime_ns, entry.st_mtime_ns, entry.st_ctime_ns,
    ) = record  # fmt: skip
    return entry


def fill_entry(entry: pyfuse3.EntryAttributes, status: os.stat_result | IndexedStatus) -> None:
    """Take all but the number from `status`."""
    entry.st_mode = status.st_mode
    entry.st_nlink = status.st_nlink
    entry.st_uid = status.st_uid
    entry.st_gid = status.st_gid
    entry.st_rdev = status.st_rdev
    entry.st_size = status.st_size
    entry.st_blocks = status.st_blocks
    entry.st_blksize = status.st_blksize
    entry.st_atime_ns = status.st_atime_ns
    entry.st_mtime_ns = status.st_mtime_ns
    entry.st_ctime_ns = status.st_ctime_ns


def negative_entry() -> pyfuse3.EntryAttributes:
    """The answer that a name is not there, for the kernel to keep."""
    entry = pyfuse3.EntryAttributes()
    entry.entry_timeout = FOREVER
    return entry


class Handle:
    """An open file. `fd` is -1 until something is read: most files that are opened again are in the page cache."""

    __slots__ = ("fd", "node", "writable")

    def __init__(self, node: Node, fd: int, writable: bool) -> None:  # positional is quicker
        self.node = node
        self.fd = fd
        self.writable = writable
