"""Writes directory trees as tar archives (ustar, with PAX headers where ustar cannot say it), streaming to a
descriptor.

By descriptors and in sorted order: the same tree gives the same bytes. What changes meanwhile cannot break the
archive: a file that shrinks is filled up with zeros, one that grows is cut, one that vanishes is left out.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from itertools import islice
from typing import TYPE_CHECKING

from storage.errors import os_failure
from storage.trees.copy_tree import extents
from storage.trees.walk import Step, Walk
from storage.whiteouts import FORGEABLE_PREFIXES, entry_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from storage.owner_book import TrueOwner
    from storage.true_owners import BookOwners, TrueOwners

_BLOCK = 512
_FLUSH_SIZE = 1 << 18
_MOST_UNSIZED = 16 << 20
#: files of which so much is left need not pass through this process, where a pipe takes them
_SPLICED_SIZE = 1 << 20
_OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
#: a table of more would take longer than the zeros that it spares
_MOST_SEGMENTS = 10_000
#: zeros of which so many lie together are a hole
_HOLE = 1 << 16
_MAX_ID = 0o7777777
_MAX_SIZE = 0o77777777777
#: name, three numbers, two more, checksum, kind, link name, magic and version, owner's and group's name, device, prefix
_USTAR = struct.Struct("100s24s24s8sc100s8s64x16s167x")
_MAGIC = b"ustar\x0000"
#: what is the same in the sum over every header: the magic, and the checksum's own field read as blanks
_SUM = sum(_MAGIC) + 8 * ord(" ")
_NO_DEVICE = b"0000000\0" * 2
_KINDS = {
    stat.S_IFREG: b"0",
    stat.S_IFLNK: b"2",
    stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4",
    stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}


def write_tree(root_fd: int, out_fd: int, owners: BookOwners | TrueOwners | None = None) -> tuple[str, ...]:
    """Write all below `root_fd` to `out_fd`, with the owners that `owners` knows; the notes on what was left out
    (sockets).

    StorageError where something cannot be read or written; what was written until then is no archive.
    """
    writer = TarWriter(out_fd)
    writer.add_tree(root_fd, owners)
    writer.finish()
    return tuple(writer.notes)


class TarWriter:
    """An archive in the making, of `size_bytes` so far; `seen` is given all that is written to `out_fd`.

    Everything is `owner`'s, where one is given. With `sparse` holes are left out (PAX sparse 1.0). With `live` the
    kernel's own files, which say no size, are read as far as they go. `told` hears how many bytes have been written,
    now and then.
    `finish` writes the end mark; without it the archive is not whole.
    """

    def __init__(
        self,
        out_fd: int,
        seen: Callable[[bytes], object] | None = None,
        *,
        owner: tuple[int, int] | None = None,
        sparse: bool = False,
        live: bool = False,
        told: Callable[[int], object] | None = None,
    ) -> None:
        self._out_fd = out_fd
        self._told = told
        self._seen = seen
        self._owner = owner
        self._sparse = sparse
        self._live = live
        self._pipes = seen is None and stat.S_ISFIFO(os.fstat(out_fd).st_mode)
        self._buffer = bytearray()
        self.size_bytes = 0
        self._linked: dict[tuple[int, int], bytes] = {}
        self.notes: list[str] = []

    def add_tree(self, root_fd: int, owners: BookOwners | TrueOwners | None = None) -> None:
        """Add everything below `root_fd`, not itself, as whose `owners` finds it. Raises StorageError."""
        path: list[bytes] = []
        try:
            for step in Walk(root_fd):
                if step.leaving:
                    path.pop()
                    continue
                name = b"/".join((*path, step.name))
                self.add_entry(step, name, owners.find(name, step.status) if owners is not None else None)
                if stat.S_ISDIR(step.status.st_mode):
                    path.append(step.name)
        except OSError as error:
            raise os_failure("cannot write the archive", error) from error

    def add_entry(self, step: Step, name: bytes, true: TrueOwner | None = None) -> None:
        """Add one entry as `name`, without what lies in it; `true` is whose it is, where 0 only stands for another.
        OSError where it cannot be read.
        """
        status = step.status
        kind = _KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            self.notes.append(f"left out {os.fsdecode(name)!r}: sockets have no place in an archive")
            return
        inode = (status.st_dev, status.st_ino)
        linked = self._linked.get(inode) if status.st_nlink > 1 and kind != b"5" else None
        if linked is not None:
            self._write(self._header(name, b"1", status, true, link=linked))
            return
        link = os.readlink(step.name, dir_fd=step.dir_fd) if kind == b"2" else b""
        if kind == b"0":
            if not self._add_file(step, name, true):
                return
        else:
            xattrs = _read_xattrs(entry_path(step.dir_fd, step.name))
            written = name + b"/" if kind == b"5" else name
            self._write(self._header(written, kind, status, true, link=link, xattrs=xattrs))
        if status.st_nlink > 1 and kind != b"5":
            self._linked[inode] = name

    def add_empty(self, name: bytes) -> None:
        """Add an empty file of no time and no rights: a mark such as a whiteout."""
        self._write(_name_records(name) + _ustar(name, b"0", 0, 0, 0, 0, 0))

    def finish(self, record_size: int = 10240) -> None:
        """Write the end mark, filled up to tar's usual record of 10 KiB, or to another. Raises StorageError."""
        self._write(bytes(2 * _BLOCK))
        self._write(bytes(-self.size_bytes % record_size))
        try:
            self._flush()
        except OSError as error:
            raise os_failure("cannot write the archive", error) from error

    def _add_file(self, step: Step, name: bytes, true: TrueOwner | None) -> bool:
        try:
            fd = os.open(step.name, _OPEN_FILE, dir_fd=step.dir_fd)
        except FileNotFoundError:
            return False
        try:
            # again, by the descriptor: the size that is announced is that of the file which is read
            status = os.fstat(fd)
            size = left = status.st_size
            if not stat.S_ISREG(status.st_mode):
                return False  # somebody has put something else there
            xattrs = _read_xattrs(fd)
            if self._sparse and size > _FLUSH_SIZE and status.st_blocks * _BLOCK < size:
                if self._add_sparse(name, status, xattrs, fd):
                    return True
                os.lseek(fd, 0, os.SEEK_SET)
            data = os.read(fd, min(left, _FLUSH_SIZE)) if left else b""
            if self._live and (len(data) < size <= _FLUSH_SIZE or not size):
                # files of procfs and sysfs say nothing true of their size
                data += _read_unsized(fd)
                size = left = len(data)
            header = self._header(name, b"0", status, true, size=size, xattrs=xattrs)
            left -= len(data)
            if not left:
                # most files are small: one piece each
                self._write(b"".join((header, data, bytes(-size % _BLOCK))))
                return True
            self._write(header)
            self._write(data)
            self._write_data(fd, left)
            self._write(bytes(-size % _BLOCK))
        finally:
            os.close(fd)
        return True

    def _header(
        self,
        name: bytes,
        kind: bytes,
        status: os.stat_result,
        true: TrueOwner | None,
        *,
        link: bytes = b"",
        size: int = 0,
        xattrs: Mapping[str, bytes] | None = None,
        records: Mapping[bytes, bytes] | None = None,
    ) -> bytes:
        """The header of an entry, and before it what that cannot hold."""
        uid, gid, mode = status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)
        if self._owner is not None:
            uid, gid = self._owner
        # asked again: by now the name may be another file's, of somebody the file system knows
        elif true is not None and not uid and not gid:
            uid, gid, mode = true.uid, true.gid, stat.S_IMODE(true.mode)
        extended = {**_pax_records(name, link, uid, gid, size, status.st_mtime_ns), **(records or {})}
        for xattr, value in sorted(xattrs.items()) if xattrs else ():
            if not xattr.startswith(FORGEABLE_PREFIXES):
                extended[b"SCHILY.xattr." + os.fsencode(xattr)] = value
        device = _device_numbers(status.st_rdev) if kind in b"34" else _NO_DEVICE
        seconds = max(status.st_mtime_ns // 1_000_000_000, 0)
        return _extended_header(name, extended) + _ustar(name, kind, mode, uid, gid, size, seconds, link, device)

    def _add_sparse(self, name: bytes, status: os.stat_result, xattrs: Mapping[str, bytes], fd: int) -> bool:
        """Add a file by its pieces; False where there are too many of them to be worth it."""
        segments = list(islice(extents(fd, status.st_size), _MOST_SEGMENTS + 1))
        if segments == [(0, status.st_size)]:
            # holes there are, and a file system, as those of FUSE, that does not say where
            segments = list(islice(_filled(fd, status.st_size), _MOST_SEGMENTS + 1))
        if len(segments) > _MOST_SEGMENTS:
            return False
        numbers = [len(segments), *(number for start, end in segments for number in (start, end - start))]
        table = b"".join(b"%d\n" % number for number in numbers)
        table += bytes(-len(table) % _BLOCK)
        size = len(table) + sum(end - start for start, end in segments)
        records = {
            b"GNU.sparse.major": b"1",
            b"GNU.sparse.minor": b"0",
            b"GNU.sparse.name": name,
            b"GNU.sparse.realsize": b"%d" % status.st_size,
        }
        self._write(self._header(name, b"0", status, None, size=size, xattrs=xattrs, records=records))
        self._write(table)
        for start, end in segments:
            os.lseek(fd, start, os.SEEK_SET)
            self._write_data(fd, end - start)
        self._write(bytes(-size % _BLOCK))
        return True

    def _write_data(self, fd: int, left: int) -> None:
        """Write `left` bytes of the file, zeros for what is not there any more."""
        if left >= _SPLICED_SIZE and self._pipes:
            left -= self._splice(fd, left)
        while left and (data := os.read(fd, min(left, _FLUSH_SIZE))):
            self._write(data)
            left -= len(data)
        while left:
            zeros = bytes(min(left, _FLUSH_SIZE))
            self._write(zeros)
            left -= len(zeros)

    def _splice(self, fd: int, size: int) -> int:
        """Have the kernel hand the file to the pipe, as far as it does; how much."""
        self._flush()
        done = 0
        try:
            while done < size and (count := os.splice(fd, self._out_fd, min(size - done, 1 << 30))):
                done += count
                if self._told is not None:
                    self._told(self.size_bytes + done)
        except OSError as error:
            # a file system that does not: the file is read
            if error.errno != errno.EINVAL or done:
                raise
        self.size_bytes += done
        return done

    def _write(self, data: bytes) -> None:
        self.size_bytes += len(data)
        if len(data) >= _FLUSH_SIZE:
            self._flush()
            self._put(data)
            return
        self._buffer += data
        if len(self._buffer) >= _FLUSH_SIZE:
            self._flush()

    def _flush(self) -> None:
        # copied first: a bytearray that a view holds cannot be emptied
        data = bytes(self._buffer)
        self._buffer.clear()
        self._put(data)

    def _put(self, data: bytes) -> None:
        if self._seen is not None:
            self._seen(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._out_fd, view) :]
        if self._told is not None:
            self._told(self.size_bytes)


def _read_unsized(fd: int) -> bytes:
    """What is left of a file that may have no end, or not be readable now, bounded."""
    data = b""
    try:
        while len(data) < _MOST_UNSIZED and (piece := os.read(fd, _FLUSH_SIZE)):
            data += piece
    except OSError:
        pass
    return data


def _filled(fd: int, size: int) -> Iterator[tuple[int, int]]:
    """The pieces of a file that are not all zeros, as `extents` has them."""
    zeros = bytes(_HOLE)
    begun, position = -1, 0
    while position < size and (data := os.pread(fd, min(_HOLE, size - position), position)):
        is_hole = data == zeros[: len(data)]
        if begun >= 0 and is_hole:
            yield begun, position
            begun = -1
        elif begun < 0 and not is_hole:
            begun = position
        position += len(data)
    if begun >= 0:
        yield begun, position


def _name_records(name: bytes) -> bytes:
    return _extended_header(name, _pax_records(name, b"", 0, 0, 0, 0))


def _extended_header(name: bytes, records: Mapping[bytes, bytes]) -> bytes:
    if not records:
        return b""
    data = b"".join(_record(keyword, value) for keyword, value in records.items())
    header = _ustar(b"PaxHeaders/" + name[:80], b"x", 0o644, 0, 0, len(data), 0)
    return header + data + bytes(-len(data) % _BLOCK)


def _pax_records(name: bytes, link: bytes, uid: int, gid: int, size: int, mtime_ns: int) -> dict[bytes, bytes]:
    """What the fixed fields of ustar cannot hold."""
    records: dict[bytes, bytes] = {}
    if not (name + link).isascii() and not _is_utf8(name + link):
        records[b"hdrcharset"] = b"BINARY"
    if len(name) > 100 or not name.isascii():
        records[b"path"] = name
    if len(link) > 100 or not link.isascii():
        records[b"linkpath"] = link
    if uid > _MAX_ID:
        records[b"uid"] = b"%d" % uid
    if gid > _MAX_ID:
        records[b"gid"] = b"%d" % gid
    if size > _MAX_SIZE:
        records[b"size"] = b"%d" % size
    if mtime_ns % 1_000_000_000 or not 0 <= mtime_ns // 1_000_000_000 <= _MAX_SIZE:
        records[b"mtime"] = _pax_time(mtime_ns)
    return records


def _pax_time(time_ns: int) -> bytes:
    seconds, nanoseconds = divmod(abs(time_ns), 1_000_000_000)
    text = b"%d.%09d" % (seconds, nanoseconds)
    return b"-" + text if time_ns < 0 else text


def _record(keyword: bytes, value: bytes) -> bytes:
    """One PAX record; its length counts the digits of the length."""
    rest = len(keyword) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %b=%b\n" % (length, keyword, value)


def _ustar(
    name: bytes,
    kind: bytes,
    mode: int,
    uid: int,
    gid: int,
    size: int,
    seconds: int,
    link: bytes = b"",
    device: bytes = _NO_DEVICE,
) -> bytes:
    """One header block; what does not fit is cut, for a PAX header says it."""
    name, link = name[:100], link[:100]
    numbers = b"%07o\0%07o\0%07o\0" % (mode, min(uid, _MAX_ID), min(gid, _MAX_ID))
    more = b"%011o\0%011o\0" % (min(size, _MAX_SIZE), min(seconds, _MAX_SIZE))
    # of what is not zero: most of a block is
    checksum = _SUM + sum(b"".join((name, numbers, more, kind, link, device)))
    return _USTAR.pack(name, numbers, more, b"%06o\0 " % checksum, kind, link, _MAGIC, device)


def _device_numbers(device: int) -> bytes:
    return b"%07o\0%07o\0" % (min(os.major(device), _MAX_ID), min(os.minor(device), _MAX_ID))


def _read_xattrs(place: int | bytes) -> dict[str, bytes]:
    try:
        if isinstance(place, int):
            return {name: os.getxattr(place, name) for name in os.listxattr(place)}
        names = os.listxattr(place, follow_symlinks=False)
        return {name: os.getxattr(place, name, follow_symlinks=False) for name in names}
    except OSError:
        # a file system without xattrs, or an entry that changes as we read it: then none are written
        return {}


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
