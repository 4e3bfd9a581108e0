"""Layers as they arrive, decompressed in bounded pieces.

What they are is read off their first bytes, never off a media type.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from storage.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

_inflate: Any = zlib
try:
    # two to three times faster than zlib, same interface; where it is not installed zlib does
    from isal import isal_zlib

    _inflate = isal_zlib
except ImportError:
    pass

_READ_SIZE = 1 << 17
PIECE_SIZE = 1 << 18
"""No piece is larger, whatever ratio a bomb has."""
_ZSTD_WINDOW_LIMIT = 1 << 27
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


def decompressed(stream: BinaryIO) -> Iterator[bytes]:
    """The uncompressed bytes of `stream` (gzip, zstd, bzip2, xz or plain).

    StorageError where it is damaged or ends early.
    """
    head = stream.read(6)
    if head.startswith(_GZIP):
        return _gzip(stream, head)
    if head.startswith(_ZSTD) or (head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50):
        return _zstd(stream, head)
    if head.startswith(b"BZh") or head == b"\xfd7zXZ\x00":
        return _archive_formats(stream, head)
    return _plain(stream, head)


def _plain(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    if head:
        yield head
    while piece := stream.read(PIECE_SIZE):
        yield piece


def _gzip(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    member = _inflate.decompressobj(31)
    data = head + stream.read(_READ_SIZE)
    while True:
        try:
            piece = member.decompress(data, PIECE_SIZE)
        except (zlib.error, _inflate.error) as error:
            raise StorageError("the layer is damaged", cause=f"gzip: {error}") from error
        if piece:
            yield piece
        if member.eof:
            data = _next_member(stream, member.unused_data)
            if not data:
                return
            member = _inflate.decompressobj(31)
        elif member.unconsumed_tail:
            data = member.unconsumed_tail
        else:
            data = stream.read(_READ_SIZE)
            # a full piece may have left output inside the decompressor: it is asked once more with nothing
            if not data and len(piece) < PIECE_SIZE:
                raise StorageError("the layer is truncated", cause="the gzip stream ends early")


def _next_member(stream: BinaryIO, data: bytes) -> bytes:
    """The start of the next gzip member (RFC 1952 §2.2: they follow one another); zeros behind the last are padding."""
    while True:
        data = data.lstrip(b"\0")
        if data:
            return data
        data = stream.read(_READ_SIZE)
        if not data:
            return b""


def _zstd(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    # 20 ms to import: only where such a layer comes along
    import zstandard

    reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_LIMIT).stream_reader(
        cast("IO[bytes]", _Prefixed(stream, head)), read_size=_READ_SIZE, read_across_frames=True
    )
    try:
        while piece := reader.read(PIECE_SIZE):
            yield piece
    except zstandard.ZstdError as error:
        raise StorageError("the layer is damaged", cause=f"zstd: {error}") from error


def _archive_formats(stream: BinaryIO, head: bytes) -> Iterator[bytes]:
    # no registry uses these; `import` and `load` meet them
    import bz2
    import lzma

    made: Any = bz2.BZ2Decompressor() if head.startswith(b"BZh") else lzma.LZMADecompressor(memlimit=128 << 20)
    data = head
    try:
        while not made.eof:
            piece = made.decompress(data, PIECE_SIZE)
            if piece:
                yield piece
            data = stream.read(_READ_SIZE) if made.needs_input and not made.eof else b""
            if not data and made.needs_input and not made.eof:
                raise StorageError("the archive is truncated", cause="the compressed stream ends early")
    except (OSError, lzma.LZMAError) as error:
        raise StorageError("the archive is damaged", cause=str(error)) from error


class _Prefixed:
    """`stream` with the bytes that were read off it put back in front."""

    def __init__(self, stream: BinaryIO, head: bytes) -> None:
        self._stream, self._head = stream, head

    def read(self, size: int = -1) -> bytes:
        head, self._head = self._head, b""
        return head + self._stream.read(size - len(head)) if head else self._stream.read(size)
