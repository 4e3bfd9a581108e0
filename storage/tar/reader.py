"""A streaming reader of tar archives: ustar, GNU and PAX, for hostile input.

`tarfile` is not used: it seeks, it is five times slower, and Debian 12's has none of the fixes for its known holes.
Order of use: `next_entry` gives a value; the entry's data, if it has any, is taken by `copy_data` or `skip_data`
(skipped by the next `next_entry` otherwise); after None, `finish` reads the stream to its end and gives the digest of
all of it. Bounds: a PAX or long-name header is at most 1 MiB, a run of them counts as entries, sparse maps at most
100,000 pieces.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
from typing import TYPE_CHECKING, BinaryIO, NamedTuple
from zlib import adler32

from storage.digests import Digest
from storage.errors import StorageError
from storage.tar.decompress import decompressed
from storage.tar.format import (
    Segment,
    check_segments,
    malformed,
    pair_segments,
    parse_decimal,
    parse_mtime,
    parse_number,
    parse_old_sparse,
    parse_pax,
    parse_pax_time,
    parse_sparse_map,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK, DIRECTORY, FIFO = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
"""TarEntry.kind. Whatever else an archive holds comes as its own letter and is to be skipped with a note."""

_HEADER = struct.Struct("100s8s8s8s12s12s8sc100s8s32s32s8s8s155s12x")
_HEADER_MAX_BYTES = 1 << 20
_ZERO_BLOCK = bytes(512)
_NO_XATTRS: Mapping[bytes, bytes] = {}
_XATTR_PREFIX = b"SCHILY.xattr."
_MAX_EXTENSIONS = 100
#: PAX records or pieces of a sparse file that count as one header more
_RECORDS_PER_HEADER = 16
#: of data of which so much is to come
_SPLICED_SIZE = 1 << 20
_ADLER_BASE = 65521


class TarEntry(NamedTuple):
    """One member: its name as the archive has it, and what its header says; `mode` is permission bits, `size` bytes,
    `device` major and minor.
    """

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    link_name: bytes
    device: tuple[int, int]
    xattrs: Mapping[bytes, bytes]
    segments: list[Segment] | None
    """The pieces of a sparse file; None where the data is simply `size` bytes."""


class TarReader:
    """Reads the members of `stream`, compressed or not, one after the other; `digests` false spares the digest.

    `pipe_fd` is the pipe that an unbuffered stream reads from, of an archive that is not compressed: without digests
    the kernel moves the data of large members from there.
    """

    def __init__(self, stream: BinaryIO, *, digests: bool = True, pipe_fd: int = -1) -> None:
        self._pipe_fd = -1 if digests else pipe_fd
        self._pieces = decompressed(stream)
        self._sha256 = hashlib.sha256()
        self._hash: Callable[[bytes], object] = self._sha256.update if digests else len
        self._buffer = b""
        self._position = 0
        self._data_left = 0
        self._padding = 0
        self._global: dict[bytes, bytes] = {}
        self.size_bytes = 0
        """Uncompressed bytes read so far."""
        self.headers = 0
        """Headers read so far, long names and PAX headers included; many records in one count as more of them."""

    def next_entry(self) -> TarEntry | None:
        """The next member, or None at the end of the archive. StorageError where it is malformed or truncated."""
        if self._data_left or self._padding:
            self.skip_data()
        block = self._read_header()
        if block is None:
            return None
        kind = block[156:157]
        if kind in b"xgLKS":
            return self._extended_entry(block)
        return self._plain_entry(block)

    def copy_data(self, fd: int) -> None:
        """Write the current member's stored bytes to `fd`, at its position."""
        left = self._data_left
        if left <= len(self._buffer) - self._position:
            # all of it is here: nearly every file, and in one piece
            written = os.write(fd, self._buffer[self._position : self._position + left])
            self._position += written
            left -= written
            self._data_left = left
        while left:
            available = len(self._buffer) - self._position
            if not available:
                if self._pipe_fd >= 0 and left >= _SPLICED_SIZE and (moved := self._splice(fd, left)):
                    left -= moved
                    self._data_left = left
                else:
                    self._refill()
                continue
            count = min(left, available)
            _write_all(fd, memoryview(self._buffer)[self._position : self._position + count])
            self._position += count
            left -= count
            self._data_left = left
        self.skip_data()

    def copy_segments(self, fd: int, segments: list[Segment], size: int) -> None:
        """Write a sparse member: each segment at its offset, holes between, `size` bytes in all."""
        left, padding = self._data_left, self._padding
        for offset, length in segments:
            os.lseek(fd, offset, os.SEEK_SET)
            self._data_left, self._padding = length, 0
            self.copy_data(fd)
            left -= length
        self._data_left, self._padding = left, padding
        os.ftruncate(fd, size)
        self.skip_data()

    def skip_data(self) -> None:
        """Pass over what is left of the current member. An archive may end in the padding of the last one: Docker's
        client sends such a build context where the Dockerfile lies elsewhere.
        """
        data, left = self._data_left, self._data_left + self._padding
        self._data_left = self._padding = 0
        while left > (available := len(self._buffer) - self._position):
            left -= available
            data -= available
            self._position = len(self._buffer)
            if data > 0:
                self._refill()
            elif self._at_end():
                return
        self._position += left

    def finish(self, limit: int | None = None) -> Digest:
        """Read what follows the end mark and give the digest of the whole uncompressed stream (the diff id), where
        digests are made.

        StorageError where the stream is longer than `limit` bytes.
        """
        for piece in self._pieces:
            self._hash(piece)
            self.size_bytes += len(piece)
            if limit is not None and self.size_bytes > limit:
                raise StorageError(f"the archive unpacks to more than {limit} bytes", cause="refused as a bomb")
        return Digest("sha256:" + self._sha256.hexdigest())

    def _splice(self, fd: int, size: int) -> int:
        """Have the kernel move data of the member from the pipe; how much, 0 where it does not, or no more comes."""
        try:
            moved = os.splice(self._pipe_fd, fd, size)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            self._pipe_fd = -1  # a file system that cannot
            return 0
        self.size_bytes += moved
        return moved

    def _refill(self) -> None:
        """Replace the buffer, all of which was taken, by the next piece."""
        self._buffer, self._position = self._next_piece(), 0

    def _next_piece(self) -> bytes:
        piece = next(self._pieces, None)
        if piece is None:
            raise StorageError(
                "the archive is truncated", cause=f"it ends after {self.size_bytes} bytes inside a member"
            )
        self._hash(piece)
        self.size_bytes += len(piece)
        return piece

    def _read(self, size: int) -> bytes:
        available = len(self._buffer) - self._position
        if available < size:
            # joined once: pieces may be of one byte each
            pieces = [self._buffer[self._position :]]
            while available < size:
                pieces.append(self._next_piece())
                available += len(pieces[-1])
            self._buffer, self._position = b"".join(pieces), 0
        data = self._buffer[self._position : self._position + size]
        self._position += size
        return data

    def _count_parsed(self, count: int) -> None:
        # what is read one by one costs time, however well it compresses
        self.headers += count // _RECORDS_PER_HEADER

    def _read_header(self) -> bytes | None:
        """The next header block with its checksum verified; None at the end."""
        if self._at_end():
            return None
        block = self._read(512)
        if block == _ZERO_BLOCK:
            if not self._at_end() and self._read(512) != _ZERO_BLOCK:
                raise malformed("a lone block of zeros between members")
            return None
        _check_sum(block)
        self.headers += 1
        return block

    def _at_end(self) -> bool:
        """Whether the stream ends here: archives without an end mark are common, and harmless at a member's border."""
        while self._position == len(self._buffer):
            piece = next(self._pieces, None)
            if piece is None:
                return True
            self._hash(piece)
            self.size_bytes += len(piece)
            self._buffer, self._position = piece, 0
        return False

    def _plain_entry(self, block: bytes) -> TarEntry:
        """An entry that its one header describes whole: nearly all of them."""
        if self._global:
            return self._described_entry(block, {}, b"", b"")
        (name, mode, uid, gid, size, mtime, _, kind, link, magic, _, _, major, minor, prefix) = _HEADER.unpack(block)
        name = name.split(b"\0", 1)[0]
        if prefix[0] and magic == b"ustar\x0000":
            name = prefix.split(b"\0", 1)[0] + b"/" + name
        kind = _normal_kind(kind, name)
        length = self._begin_data(kind, parse_number(size))
        device = (parse_number(major), parse_number(minor)) if kind in (CHARACTER, BLOCK) else (0, 0)
        link_name = link.split(b"\0", 1)[0] if link[0] else b""
        return TarEntry(
            name,
            kind,
            parse_number(mode) & 0o7777,
            parse_number(uid),
            parse_number(gid),
            length,
            parse_mtime(mtime),
            link_name,
            device,
            _NO_XATTRS,
            None,
        )

    def _extended_entry(self, block: bytes) -> TarEntry | None:
        """Gather the headers in front of a member, then the member."""
        records: dict[bytes, bytes] = {}
        long_name = long_link = b""
        extensions = 0
        while (kind := block[156:157]) in (b"x", b"g", b"L", b"K"):
            extensions += 1
            if extensions > _MAX_EXTENSIONS:
                raise malformed("too many extended headers in front of one member")
            text = self._read_extension(block)
            if kind == b"x":
                records = parse_pax(text)
                self._count_parsed(len(records))
            elif kind == b"g":
                self._merge_global(parse_pax(text))
            elif kind == b"L":
                long_name = text.split(b"\0", 1)[0]
            else:
                long_link = text.split(b"\0", 1)[0]
            following = self._read_header()
            if following is None:
                if kind == b"g":
                    return None
                raise malformed("an extended header with no member behind it")
            block = following
        return self._described_entry(block, records, long_name, long_link)

    def _read_extension(self, block: bytes) -> bytes:
        size = parse_number(block[124:136])
        if size > _HEADER_MAX_BYTES:
            raise malformed(f"an extended header of {size} bytes")
        text = self._read(size)
        self._padding = -size % 512
        self.skip_data()
        return text

    def _merge_global(self, records: Mapping[bytes, bytes]) -> None:
        # only what can hold for many members; a comment (git archive writes one) is not kept
        for keyword, value in records.items():
            if keyword in (b"mtime", b"uid", b"gid"):
                self._global[keyword] = value

    def _described_entry(
        self, block: bytes, records: dict[bytes, bytes], long_name: bytes, long_link: bytes
    ) -> TarEntry:
        """A member whose header is amended by PAX records or GNU long names."""
        saved, self._global = self._global, {}
        entry = self._plain_entry(block)
        self._global = saved
        records = {**saved, **records}
        stored = self._data_left
        if b"size" in records:
            stored = self._begin_data(entry.kind, parse_decimal(records[b"size"]))
        entry = entry._replace(
            name=_text(records.get(b"path") or long_name or entry.name),
            link_name=_text(records.get(b"linkpath") or long_link or entry.link_name),
            uid=parse_decimal(records[b"uid"]) if records.get(b"uid") else entry.uid,
            gid=parse_decimal(records[b"gid"]) if records.get(b"gid") else entry.gid,
            mtime_ns=parse_pax_time(records[b"mtime"]) if records.get(b"mtime") else entry.mtime_ns,
            size=stored,
            xattrs={key[13:]: value for key, value in records.items() if key.startswith(_XATTR_PREFIX)} or _NO_XATTRS,
        )
        if block[156:157] == b"S":
            return self._old_sparse(block, entry)
        if b"GNU.sparse.map" in records or b"GNU.sparse.major" in records:
            return self._pax_sparse(entry, records)
        return entry

    def _begin_data(self, kind: bytes, size: int) -> int:
        """Set how many bytes follow; links, devices and directories have none, whatever their size field says (as Go
        reads them).
        """
        if kind in (HARD_LINK, SYMLINK, CHARACTER, BLOCK, DIRECTORY, FIFO):
            size = 0
        self._data_left = size
        self._padding = -size % 512
        return size

    def _old_sparse(self, block: bytes, entry: TarEntry) -> TarEntry:
        segments = parse_old_sparse(block, 386, 4)
        real_size = parse_number(block[483:495])
        more = block[482]
        while more:
            extension = self._read(512)
            segments += parse_old_sparse(extension, 0, 21)
            more = extension[504]
            if len(segments) > 100_000:
                raise malformed("a sparse map with too many segments")
        return self._sparse(entry, segments, real_size)

    def _pax_sparse(self, entry: TarEntry, records: Mapping[bytes, bytes]) -> TarEntry:
        size_text = records.get(b"GNU.sparse.realsize") or records.get(b"GNU.sparse.size") or b""
        if b"GNU.sparse.name" in records:
            entry = entry._replace(name=_text(records[b"GNU.sparse.name"]))
        if b"GNU.sparse.map" in records:
            segments = parse_sparse_map(records[b"GNU.sparse.map"])
        else:
            segments = self._sparse_map_in_data()
        return self._sparse(entry, segments, parse_decimal(size_text))

    def _sparse_map_in_data(self) -> list[Segment]:
        """PAX sparse 1.0: decimal numbers, one a line, in whole blocks in front of the data; the first counts the
        pairs.
        """
        text = bytearray()
        lines, needed = 0, 1
        while lines < needed:
            if self._data_left < 512 or len(text) > _HEADER_MAX_BYTES:
                raise malformed("a sparse map that does not end")
            block = self._read(512)
            text += block
            lines += block.count(b"\n")
            self._data_left -= 512
            if needed == 1 and lines:
                needed = 1 + 2 * parse_decimal(bytes(text).split(b"\n", 1)[0])
        return pair_segments([parse_decimal(line) for line in bytes(text).split(b"\n")[1:needed]])

    def _sparse(self, entry: TarEntry, segments: list[Segment], real_size: int) -> TarEntry:
        check_segments(segments, self._data_left, real_size)
        self._count_parsed(len(segments))
        return entry._replace(kind=REGULAR, size=real_size, segments=segments)


def _normal_kind(kind: bytes, name: bytes) -> bytes:
    if kind in (b"\0", b"7"):
        # a header from before POSIX: a name ending in a slash is a directory
        return DIRECTORY if kind == b"\0" and name.endswith(b"/") else REGULAR
    return kind


def _text(value: bytes) -> bytes:
    if b"\0" in value:
        raise malformed("a name with a NUL byte")
    return value


def _check_sum(block: bytes) -> None:
    """The header's checksum: the sum of its bytes, its own field taken as eight spaces."""
    expected = parse_number(block[148:156])
    spaced = block[:148] + b"        " + block[156:]
    # adler32's lower half is one more than the sum of the bytes modulo 65521: at C speed, on the hottest path of a pull
    if (adler32(spaced) & 0xFFFF) == (expected + 1) % _ADLER_BASE:
        return
    # some old archivers added signed bytes
    if expected != sum(byte - 256 if byte > 127 else byte for byte in spaced):
        raise malformed("a header with a wrong checksum")


def _write_all(fd: int, view: memoryview) -> None:
    while view:
        view = view[os.write(fd, view) :]
