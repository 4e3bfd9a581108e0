"""Compressed layers: readable by everybody, and the same wherever and however often they are made."""

from __future__ import annotations

import functools
import gzip
import io
import os
import random
import subprocess
import zlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from storage.content import ContentStore
from storage.digests import digest_of
from storage.errors import StorageError
from storage.tar import compress as compress_module
from storage.tar.compress import Compression, compress
from storage.tar.decompress import decompressed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TEXT = b"".join(b"line %d of a text that compresses well\n" % i for i in range(60_000))
_NOISE = random.Random(7).randbytes(1_300_000)


def _compressed(data: bytes, kind: Compression) -> bytes:
    return b"".join(compress([data], kind))


@pytest.mark.parametrize("data", [b"", b"x", _TEXT, _NOISE, _TEXT + _NOISE], ids=len)
@pytest.mark.parametrize("kind", [Compression("gzip"), Compression("gzip", 0), Compression("zstd"),
                                  Compression("zstd", 19), Compression("uncompressed")], ids=str)  # fmt: skip
def test_everybody_reads_it(data: bytes, kind: Compression) -> None:
    made = _compressed(data, kind)
    assert b"".join(decompressed(io.BytesIO(made))) == data
    if kind.kind == "gzip":
        assert gzip.decompress(made) == data
        assert subprocess.run(["gzip", "-dc"], input=made, capture_output=True, check=True).stdout == data
    elif kind.kind == "zstd":
        assert zstandard.ZstdDecompressor().decompressobj().decompress(made) == data


@functools.cache
def _whole() -> str:
    return digest_of(_compressed(_TEXT, Compression()))


@given(st.lists(st.integers(1, 400_000), max_size=12))
def test_gzip_does_not_depend_on_the_pieces(cuts: list[int]) -> None:
    pieces, position = [], 0
    for cut in cuts:
        pieces.append(_TEXT[position : position + cut])
        position += cut
    pieces.append(_TEXT[position:])
    assert digest_of(b"".join(compress(pieces, Compression()))) == _whole()


def test_gzip_does_not_depend_on_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    several = _compressed(_TEXT, Compression())
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert _compressed(_TEXT, Compression()) == several


def test_what_would_not_shrink_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    levels = []

    def noted(level: int, method: int, bits: int, *, zdict: bytes | None = None) -> object:
        levels.append(level)
        return zlib.compressobj(level, method, bits, zdict=zdict) if zdict else zlib.compressobj(level, method, bits)

    monkeypatch.setattr(compress_module, "zlib", SimpleNamespace(**vars(zlib) | {"compressobj": noted}))
    for data, level in ((_NOISE, 0), (_TEXT, 6), (gzip.compress(_NOISE), 0), (_NOISE[:1000], 6)):
        levels.clear()
        assert gzip.decompress(_compressed(data, Compression())) == data
        assert set(levels) - {level} <= {6}  # the last block may be too short to tell
        assert levels[0] == level


def test_gzip_compresses() -> None:
    """The dictionary reaches over the blocks: hardly more than one thread's work in one piece."""
    assert len(_compressed(_TEXT, Compression())) < 1.02 * len(gzip.compress(_TEXT, 6))


def test_impossible_level() -> None:
    with pytest.raises(StorageError, match="gzip has no compression level 10"):
        compress([], Compression("gzip", 10))


def test_pieces_become_a_blob(tmp_path: Path) -> None:
    store = ContentStore(str(tmp_path))
    digest, size = store.put_pieces([b"one", b"two"])
    assert (digest, size) == (digest_of(b"onetwo"), 6)
    assert store.read(digest) == b"onetwo"
    assert store.put_pieces([b"onetwo"]) == (digest, 6)


def test_nothing_is_left_of_pieces_that_end_badly(tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"one"
        raise StorageError("the layer is damaged")

    store = ContentStore(str(tmp_path))
    with pytest.raises(StorageError, match="damaged"):
        store.put_pieces(pieces())
    assert list((tmp_path / "partial").iterdir()) == []
    assert store.digests() == ()


def test_what_a_killed_writer_left_is_swept(tmp_path: Path) -> None:
    store = ContentStore(str(tmp_path))
    (tmp_path / "partial" / "new-dead").write_bytes(b"half")
    (tmp_path / "partial" / ("a" * 64)).write_bytes(b"a download to go on with")
    store.sweep()
    assert [path.name for path in (tmp_path / "partial").iterdir()] == ["a" * 64]
