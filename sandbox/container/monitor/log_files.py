"""The files of one container's log: `log.json` is written, `log.json.1` is the one before it, and so on.

An older file may be compressed, `log.json.1.gz`: one gzip member whose header has the number of the inode that was
compressed (RFC 1952, extra field). So a reader that is in the middle of a file knows it again under its next name, and
compressed too, and finds the file that follows.

In a file that follows another one the first line has one field more, "before": so many lines were in all the files
before it. So who reads too slowly can say how many it has missed.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LOG_NAME = "log.json"
COMPRESSED = ".gz"

# ID1 ID2 CM=deflate FLG=FEXTRA, MTIME, XFL, OS=Unix, XLEN, then one subfield "SB" of eight bytes
_START = b"\x1f\x8b\x08\x04\0\0\0\0\0\x03\x0c\x00SB\x08\x00"
_NUMBER_BYTES = 8
_BEFORE = b',"before":'
_BLOCK = 64 * 1024
_LONGEST_PIECE = 1 << 20


def numbered(path: str, number: int) -> str:
    """The name of the `number`th older file, not compressed; 0 is the one that is written."""
    return f"{path}.{number}" if number else path


def with_count(lines: bytes, before: int) -> bytes:
    """What a file begins with that so many lines come before."""
    first, _, rest = lines.partition(b"\n")
    return b"%b%b%d}\n%b" % (first[:-1], _BEFORE, before, rest)


def without_count(lines: bytes) -> tuple[int, bytes]:
    """How many lines come before those that a file begins with, and these as they were."""
    first, end, rest = lines.partition(b"\n")
    # a quotation mark in the text has a backslash before it
    kept, _, number = first.rpartition(_BEFORE)
    count = number[:-1]
    return (int(count), b"%b}%b%b" % (kept, end, rest)) if count.isdigit() else (0, lines)


def count_lines(path: str) -> int:
    """How many lines are in the file and in those before it; 0 where it cannot be read."""
    try:
        with open(path, "rb") as file:
            first = file.readline()
            count = without_count(first)[0] + first.count(b"\n")
            while block := file.read(_BLOCK):
                count += block.count(b"\n")
    except OSError:
        return 0
    return count


def compressed_header(inode: int) -> bytes:
    """What a compressed file begins with."""
    return _START + inode.to_bytes(_NUMBER_BYTES, "little")


class LogFile:
    """One file, open for reading; `identity` stays the same when it is renamed or compressed."""

    def __init__(self, fd: int, *, compressed: bool) -> None:
        self.fd = fd
        self.compressed = compressed
        if compressed:
            header = os.pread(fd, len(_START) + _NUMBER_BYTES, 0)
            self.identity = int.from_bytes(header[len(_START) :], "little") if header.startswith(_START) else -1
        else:
            self.identity = os.fstat(fd).st_ino

    def blocks(self) -> Iterator[bytes]:
        """The content from the beginning. It goes on where it has ended, when more has been written."""
        if self.compressed:
            yield from self._inflated()
        while not self.compressed:
            yield os.read(self.fd, _BLOCK)

    def _inflated(self) -> Iterator[bytes]:
        import zlib  # of logs that are compressed

        inflate = zlib.decompressobj(zlib.MAX_WBITS | 16)
        offset = 0
        while block := os.pread(self.fd, _BLOCK, offset):
            offset += len(block)
            while block:
                # in pieces: a container chooses what it writes, and how far that expands
                try:
                    content = inflate.decompress(block, _LONGEST_PIECE)
                except zlib.error:
                    return  # damaged: what is after it cannot be read
                block = inflate.unconsumed_tail
                if content:
                    yield content

    def close(self) -> None:
        os.close(self.fd)


def is_log_file(path: str, number: int) -> bool:
    """Whether there is a `number`th older file."""
    name = numbered(path, number)
    return os.path.exists(name) or os.path.exists(name + COMPRESSED)


def open_log_file(path: str, number: int) -> LogFile | None:
    """The `number`th older file in whichever form it is; None where there is none."""
    name = numbered(path, number)
    # in this order: a file that has just been compressed is found as the one or as the other
    for suffix in ("", COMPRESSED) if number else ("",):
        try:
            fd = os.open(name + suffix, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        return LogFile(fd, compressed=bool(suffix))
    return None
