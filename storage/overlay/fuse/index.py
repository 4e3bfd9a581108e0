"""An index of a layer: all its names and attributes in one file, made once and mapped into every server that uses it.

Layers never change, so what `scan` would ask of the file system is read from the index, without a system call, and its
pages are shared by all containers of an image. The file, little-endian:

    header       magic, number and change time of the layer's root directory, counts, places of the tables
    directories  for each: its first entry, how many, its mark (see `entries.read_mark`), whether it has whiteouts
    entries      those of one directory together, sorted by name; a directory's says where its own are
    names        one after another

A layer that spans file systems gets none. What cannot be read, or is another layer's, is not used.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from storage.overlay.fuse.entries import is_whiteout, read_mark, scan
from storage.whiteouts import FORGEABLE_PREFIXES, PREFIX, entry_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAGIC = b"sbx-idx2"
_HEADER = struct.Struct("<8sQqIIQQQQ")
_DIRECTORY = struct.Struct("<IIBBxx")
#: name's place and length, flags, mode, nlink, uid, gid, own directory, rdev, size, blocks, number, times
_ENTRY = struct.Struct("<IHHIIIIIQQQQqqq")
_HAS_XATTRS = 1
_IS_WHITEOUT = 2
_NONE = 0xFFFFFFFF
_READ = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

Record = tuple[int, int, int, int, int, int, int, int, int, int, int, int, int, int, int]
"""The fields of `_ENTRY`."""


class IndexedDirectory(NamedTuple):
    """Where a directory's entries are."""

    first: int
    entries: int
    mark: bytes
    has_whiteouts: bool


class LayerIndex:
    """A mapped index. Raises ValueError where the file is none, OSError where it cannot be read."""

    def __init__(self, fd: int, root: os.stat_result) -> None:
        self._map = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
        if len(self._map) < _HEADER.size:
            raise ValueError("the index is cut short")
        magic, number, ctime_ns, directories, entries, *places = _HEADER.unpack_from(self._map)
        if (magic, number, ctime_ns) != (_MAGIC, root.st_ino, root.st_ctime_ns):
            raise ValueError("the index is not of this layer")
        self._directories, self._entries, self._names, end = places
        fits = self._directories + directories * _DIRECTORY.size <= self._entries
        if end != len(self._map) or not fits or self._entries + entries * _ENTRY.size > self._names:
            raise ValueError("the index is cut short")

    def directory(self, place: int) -> IndexedDirectory:
        """A directory; the root is at place 0."""
        first, entries, mark, whiteouts = _DIRECTORY.unpack_from(self._map, self._directories + place * _DIRECTORY.size)
        return IndexedDirectory(first, entries, bytes((mark,)) if mark else b"", bool(whiteouts))

    def records(self, directory: IndexedDirectory) -> Iterator[tuple[bytes, Record]]:
        """Names and fields of what the directory has."""
        start = self._entries + directory.first * _ENTRY.size
        names, whole = self._names, self._map
        for record in _ENTRY.iter_unpack(whole[start : start + directory.entries * _ENTRY.size]):
            at = names + record[0]
            yield whole[at : at + record[1]], record  # type: ignore[misc]  # as the struct says


class IndexedStatus:
    """A record with the names of os.stat_result."""

    __slots__ = (
        "place", "st_atime_ns", "st_blksize", "st_blocks", "st_ctime_ns", "st_dev", "st_gid", "st_ino", "st_mode",
        "st_mtime_ns", "st_nlink", "st_rdev", "st_size", "st_uid",
    )  # fmt: skip

    def __init__(self, record: Record, device: int) -> None:
        (
            _, _, _, self.st_mode, self.st_nlink, self.st_uid, self.st_gid, self.place, self.st_rdev, self.st_size,
            self.st_blocks, self.st_ino, self.st_atime_ns, self.st_mtime_ns, self.st_ctime_ns,
        ) = record  # fmt: skip
        self.st_dev = device
        self.st_blksize = 4096


def hides_below(record: Record) -> bool:
    """Whether the record is a whiteout."""
    return bool(record[2] & _IS_WHITEOUT)


def has_xattrs(record: Record) -> bool:
    """Whether the entry has extended attributes that are seen."""
    return bool(record[2] & _HAS_XATTRS)


def open_index(path: str, layer_fd: int) -> LayerIndex | None:
    """The index at `path` of the layer, made now if it is not there; None where there is none to be had."""
    root = os.fstat(layer_fd)
    for _ in range(2):
        with suppress(OSError, ValueError):
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                return LayerIndex(fd, root)
            finally:
                os.close(fd)
        if not _write_in_child(path, layer_fd):
            return None
    return None


def _write_in_child(path: str, layer_fd: int) -> bool:
    """Whether the index was made: by a child, for a server is to stay small for as long as it lives."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    status = 1
    try:
        write_index(path, layer_fd)
        status = 0
    finally:
        os._exit(status)


def write_index(path: str, layer_fd: int) -> None:
    """Make the index of a layer, at once in its place. OSError; ValueError where the layer spans file systems."""
    data = _Maker(layer_fd).make()
    aside = f"{path}.{os.getpid()}"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with open(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        os.rename(aside, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(aside)
        raise


class _Maker:
    """Reads a layer breadth first, so that a directory's place is known before it is read."""

    def __init__(self, layer_fd: int) -> None:
        self._root_fd = layer_fd
        self._device = os.fstat(layer_fd).st_dev
        self._directories = bytearray()
        self._entries = bytearray()
        self._names = bytearray()
        self._count = 0
        # descriptors of directories still to be read would be many: a way of names from the root is kept instead
        self._waiting: deque[tuple[bytes, ...]] = deque([()])
        self._seen = 1

    def make(self) -> bytes:
        while self._waiting:
            self._add(self._waiting.popleft())
        directories = _HEADER.size
        entries = directories + len(self._directories)
        names = entries + len(self._entries)
        root = os.fstat(self._root_fd)
        header = _HEADER.pack(
            _MAGIC, root.st_ino, root.st_ctime_ns, self._seen, self._count,
            directories, entries, names, names + len(self._names),
        )  # fmt: skip
        return b"".join((header, self._directories, self._entries, self._names))

    def _add(self, way: tuple[bytes, ...]) -> None:
        fd = os.open(".", _READ, dir_fd=self._root_fd)
        for name in way:
            above = fd
            try:
                fd = os.open(name, _READ, dir_fd=above)
            finally:
                os.close(above)
        try:
            self._add_entries(way, fd)
        finally:
            os.close(fd)

    def _add_entries(self, way: tuple[bytes, ...], fd: int) -> None:
        mark = read_mark(fd)
        first, has_whiteouts = self._count, False
        for name, status in sorted(scan(fd)):
            flags = _HAS_XATTRS if _has_xattrs(entry_path(fd, name)) else 0
            if is_whiteout(fd, name, status, mark):
                flags |= _IS_WHITEOUT
            has_whiteouts |= bool(flags & _IS_WHITEOUT) or name.startswith(PREFIX)
            self._add_entry(way, name, status, flags)
        value = mark[0] if mark in (b"x", b"y") else 0
        self._directories += _DIRECTORY.pack(first, self._count - first, value, has_whiteouts)

    def _add_entry(self, way: tuple[bytes, ...], name: bytes, status: os.stat_result, flags: int) -> None:
        if status.st_dev != self._device:
            raise ValueError("the layer spans file systems")
        place = _NONE
        if stat.S_ISDIR(status.st_mode):
            place = self._seen
            self._seen += 1
            self._waiting.append((*way, name))
        self._entries += _ENTRY.pack(
            len(self._names), len(name), flags, status.st_mode, status.st_nlink, status.st_uid, status.st_gid, place,
            status.st_rdev, status.st_size, status.st_blocks, status.st_ino,
            status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns,
        )  # fmt: skip
        self._names += name
        self._count += 1


def _has_xattrs(place: bytes) -> bool:
    try:
        names = os.listxattr(place, follow_symlinks=False)
    except OSError:
        return True
    return any(not name.startswith(FORGEABLE_PREFIXES) for name in names)
