"""Layers on their way out, compressed: the same bytes in give the same bytes out, on every machine.

gzip is written in blocks that several threads deflate at once, as pigz does: each block begins with the 32 KiB before
it as its dictionary and ends on a byte, so that together they are one ordinary gzip member (RFC 1951, RFC 1952). The
result does not depend on how many threads there were. Blocks that would not shrink are stored as they are. isal, which
would be faster still, chooses its matches by the processor's instructions, so its output differs between machines: it
is for reading only.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal, NamedTuple

from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

CompressionKind = Literal["uncompressed", "gzip", "zstd"]
_LEVELS: dict[CompressionKind, tuple[int, int, int]] = {
    "uncompressed": (0, 0, 0),
    "gzip": (0, 9, 6),
    "zstd": (1, 22, 3),
}
_BLOCK = 1 << 19
_DICTIONARY = 1 << 15
_THREADS_MAX = 8
#: parts of a block that are tried, their size, and how little they must shrink for the rest to be left as it is
_SAMPLES, _SAMPLE, _DENSE = 8, 1 << 11, 0.98
#: deflate, no flags, no time, unknown system (RFC 1952 §2.3)
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


class Compression(NamedTuple):
    """How a layer is compressed; `level` is -1 for the kind's usual one (gzip 6, zstd 3)."""

    kind: CompressionKind = "gzip"
    level: int = -1

    def __str__(self) -> str:
        return f"{self.kind}:{self.settled_level}"

    @property
    def settled_level(self) -> int:
        """The level that is used. Raises StorageError where the kind has no such level."""
        least, most, usual = _LEVELS[self.kind]
        level = usual if self.level < 0 else self.level
        if not least <= level <= most:
            raise StorageError(f"{self.kind} has no compression level {self.level}", mend=f"{least} to {most}")
        return level


def compress(pieces: Iterable[bytes], compression: Compression) -> Iterator[bytes]:
    """The bytes of `pieces`, compressed. Raises StorageError for a level that is none, and what `pieces` raises."""
    level = compression.settled_level
    if compression.kind == "gzip":
        return _gzip(pieces, level)
    if compression.kind == "zstd":
        return _zstd(pieces, level)
    return iter(pieces)


def _gzip(pieces: Iterable[bytes], level: int) -> Iterator[bytes]:
    threads = max(1, min(_THREADS_MAX, len(os.sched_getaffinity(0))))
    checksum = size = 0
    before = b""
    yield _GZIP_HEADER
    with ThreadPoolExecutor(threads, "gzip") as pool:
        waiting: deque[Future[bytes]] = deque()
        for block in _blocks(pieces):
            waiting.append(pool.submit(_deflate, block, before, level))
            checksum, size = zlib.crc32(block, checksum), size + len(block)
            before = block[-_DICTIONARY:]
            # no more ahead than keeps the threads busy: a layer may be larger than memory
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    # an empty last block, for only here it is known that there is no further one
    yield b"\x03\x00" + struct.pack("<II", checksum, size & 0xFFFFFFFF)


def _deflate(block: bytes, before: bytes, level: int) -> bytes:
    if _is_dense(block):
        level = 0
    deflater = (
        zlib.compressobj(level, zlib.DEFLATED, -15, zdict=before)
        if before
        else zlib.compressobj(level, zlib.DEFLATED, -15)
    )
    return deflater.compress(block) + deflater.flush(zlib.Z_SYNC_FLUSH)


def _is_dense(block: bytes) -> bool:
    """Whether there is nothing to gain, as in archives and pictures: told by samples all over the block, for deflate
    takes as long over such bytes as over any.
    """
    if len(block) < _SAMPLES * _SAMPLE:
        return False
    step = (len(block) - _SAMPLE) // (_SAMPLES - 1)
    sampled = b"".join(block[start : start + _SAMPLE] for start in range(0, len(block) - _SAMPLE + 1, step))
    return len(zlib.compress(sampled, 1)) > _DENSE * len(sampled)


def _blocks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of one size, however they came."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= _BLOCK:
            yield bytes(held[:_BLOCK])
            del held[:_BLOCK]
    if held:
        yield bytes(held)


def _zstd(pieces: Iterable[bytes], level: int) -> Iterator[bytes]:
    # 20 ms to import: only where it is asked for
    import zstandard

    frame = zstandard.ZstdCompressor(level=level, write_checksum=True).compressobj()
    for block in _blocks(pieces):
        if data := frame.compress(block):
            yield data
    yield frame.flush()
