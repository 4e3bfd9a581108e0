"""Layers made to do harm: no escape, no hang, no crash; a clear error or a harmless tree."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import struct
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import StorageError
from storage.layers.unpack import Limits, unpack_layer
from storage.syscalls import mount
from storage.tar.reader import TarReader
from tests.storage.namespace import call_in_namespace
from tests.storage.tree import Archive

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.storage.tree import Tree

MARKER = b"must stay as it is"


@pytest.fixture
def outside(tree: Tree) -> str:
    """A directory beside the layers with a marker file in it."""
    path = f"{tree.root}/outside"
    os.mkdir(path)
    with open(f"{path}/marker", "wb") as file:
        file.write(MARKER)
    return path


def _unharmed(outside: str) -> bool:
    with open(f"{outside}/marker", "rb") as file:
        return file.read() == MARKER and os.listdir(outside) == ["marker"]


@pytest.mark.parametrize("name", ["../outside/x", "a/../../outside/x", "/../outside/x", "..", "a/../..", "./../x"])
@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.FIFOTYPE])
def test_names_that_leave_the_root_are_refused(tree: Tree, outside: str, name: str, kind: bytes) -> None:
    with pytest.raises(StorageError, match="refused the name"):
        tree.unpack(Archive().add(name, kind, linkname="t").bytes())
    assert _unharmed(outside)


@pytest.mark.parametrize("target", ["../outside/marker", "../../../../../../etc/passwd", "a/../../outside/marker"])
def test_hard_links_out_of_the_root_are_refused(tree: Tree, outside: str, target: str) -> None:
    with pytest.raises(StorageError, match="refused the name"):
        tree.unpack(Archive().directory("a").link("b", target).bytes())
    assert _unharmed(outside)


def _escape_attempts(outside: str) -> dict[str, Archive]:
    """Archives that would write to `outside` if links were followed, absolute ones and those that climb."""
    attempts = {}
    for way, target in (("absolute", outside), ("climbing", "../../../../../../../../../.." + outside)):
        attempts[f"{way} parent"] = Archive().symlink("l", target).file("l/marker", b"evil").file("l/new", b"evil")
        attempts[f"{way} file"] = Archive().symlink("l", f"{target}/marker").file("l", b"evil")
        attempts[f"{way} directory"] = Archive().symlink("l", target).directory("l", mode=0o777).file("l/new", b"evil")
        attempts[f"{way} whiteout"] = Archive().symlink("l", target).file("l/.wh.marker").file("l/.wh..wh..opq")
        attempts[f"{way} hard link"] = Archive().symlink("l", target).link("h", "l/marker").file("h", b"evil")
        attempts[f"{way} chain"] = Archive().symlink("a", ".").symlink("a/b", target).file("a/a/b/new", b"evil")
        attempts[f"{way} late"] = Archive().directory("d").file("d/x").symlink("d", target).file("d/new", b"evil")
        attempts[f"{way} link to link"] = Archive().symlink("l", target).link("m", "l").file("m/new", b"evil")
        attempts[f"{way} fifo"] = Archive().symlink("l", target).add("l/new", tarfile.FIFOTYPE)
        attempts[f"{way} times"] = Archive().directory("d", mode=0o700).symlink("d", target)
    return attempts


@pytest.mark.parametrize("attempt", sorted(_escape_attempts("")))
def test_links_lead_nowhere_outside(tree: Tree, outside: str, attempt: str) -> None:
    before = os.stat(outside)
    try:
        tree.unpack(_escape_attempts(outside)[attempt].bytes())
    except StorageError:
        assert "hard link" in attempt
    assert _unharmed(outside)
    after = os.stat(outside)
    assert (before.st_mode, before.st_mtime_ns) == (after.st_mode, after.st_mtime_ns)


def test_absolute_names_lie_inside(tree: Tree, outside: str) -> None:
    tree.unpack(Archive().file(f"/{outside}/marker", b"inside").file("//etc//./passwd", b"x").bytes())
    assert tree.found()[f"{outside[1:]}/marker"].content == b"inside"
    assert tree.found()["etc/passwd"].content == b"x"
    assert _unharmed(outside)


def test_symlink_loops_as_parents_are_an_error(tree: Tree) -> None:
    with pytest.raises(StorageError, match="cannot unpack 'a/x'"):
        tree.unpack(Archive().symlink("a", "b").symlink("b", "a").file("a/x").bytes())


def test_file_as_parent_is_an_error(tree: Tree) -> None:
    with pytest.raises(StorageError, match="cannot unpack 'a/b/c'"):
        tree.unpack(Archive().file("a").file("a/b/c").bytes())


def test_symlink_parents_of_one_layer_are_followed_inside(tree: Tree) -> None:
    archive = Archive().directory("usr/lib").symlink("lib", "usr/lib").file("lib/a", b"x").symlink("late", "/new/place")
    tree.unpack(archive.file("late/b", b"y").bytes())
    assert tree.found()["usr/lib/a"].content == b"x"
    assert tree.found()["new/place/b"].content == b"y"


def test_hard_link_to_a_directory_or_to_the_root(tree: Tree) -> None:
    for target in ("d", ".", "/"):
        with pytest.raises(StorageError, match=r"cannot (link|unpack) 'b'"):
            tree.unpack(Archive().directory("d").link("b", target).bytes())


def test_hard_link_to_itself_keeps_the_file(tree: Tree) -> None:
    tree.unpack(Archive().file("a", b"x").link("a", "./a").bytes())
    assert tree.found()["a"].content == b"x"


@pytest.mark.parametrize("name", ["a" * 300, "/".join(["ab"] * 3000)])
def test_names_longer_than_the_kernel_takes(tree: Tree, name: str) -> None:
    with pytest.raises(StorageError, match="cannot unpack"):
        tree.unpack(Archive().file(name).bytes())


def test_deep_directories_neither_recurse_nor_fill_memory(tree: Tree) -> None:
    deep = "/".join(["d"] * 1000)
    archive = Archive().file(f"{deep}/x", b"x").file("y").bytes()
    tree.unpack(archive)
    with pytest.raises(StorageError, match="too many directories"):
        tree.unpack(archive, Limits(pending_bytes=100_000))


def test_a_bomb_of_entries_is_refused(tree: Tree) -> None:
    archive = Archive()
    for number in range(200):
        archive.file(f"f{number}")
    with pytest.raises(StorageError, match="more than 100 entries"):
        tree.unpack(archive.bytes(), Limits(entries=100))


def test_a_bomb_of_long_names_is_refused(tree: Tree) -> None:
    info = tarfile.TarInfo("n")
    info.type = b"x"
    with pytest.raises(StorageError, match="malformed"):
        tree.unpack(info.tobuf(tarfile.USTAR_FORMAT) * 10_000)


def test_a_bomb_of_size_is_refused(tree: Tree) -> None:
    bomb = gzip.compress(Archive().file("a", bytes(30 << 20)).file("b").bytes())
    with pytest.raises(StorageError, match="unpacks to more than"):
        tree.unpack(bomb, Limits(size_bytes=1 << 20))


def test_a_bomb_behind_the_end_mark_is_refused(tree: Tree) -> None:
    with pytest.raises(StorageError, match="unpacks to more than"):
        tree.unpack(gzip.compress(Archive().file("a").bytes() + bytes(30 << 20)), Limits(size_bytes=1 << 20))


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize("keep", [0.01, 0.5, 0.99])
def test_truncated_layers(tree: Tree, compress: Callable[[bytes], bytes], keep: float) -> None:
    layer = compress(Archive().file("a", os.urandom(500_000)).bytes())
    with pytest.raises(StorageError, match=r"truncated|damaged"):
        tree.unpack(layer[: int(len(layer) * keep)])


def test_truncated_plain_archive(tree: Tree) -> None:
    with pytest.raises(StorageError, match="truncated"):
        tree.unpack(Archive().file("a", bytes(5000)).bytes()[:2000])


def test_damaged_gzip(tree: Tree) -> None:
    layer = bytearray(gzip.compress(Archive().file("a", os.urandom(500_000)).bytes()))
    layer[-6] ^= 1
    with pytest.raises(StorageError, match="damaged"):
        tree.unpack(bytes(layer))


def test_garbage_behind_a_gzip_member(tree: Tree) -> None:
    with pytest.raises(StorageError, match=r"damaged|truncated"):
        tree.unpack(gzip.compress(Archive().file("a").bytes()) + b"garbage")


def _header(**fields: bytes) -> bytes:
    """A header block with raw fields and a right checksum."""
    block = bytearray(tarfile.TarInfo("name").tobuf(tarfile.GNU_FORMAT)[:512])
    for field, value in fields.items():
        start = {"mode": 100, "uid": 108, "size": 124, "mtime": 136, "kind": 156, "link": 157, "name": 0, "sparse": 386}
        block[start[field] : start[field] + len(value)] = value
    block[148:156] = b"        "
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


@pytest.mark.parametrize(
    "archive",
    [
        _header(size=b"\xff" * 12),
        _header(size=b"-0000000001\0"),
        _header(size=b"99999999999\0"),
        _header(size=b"\x80" + b"\xff" * 11),
        _header(mode=b"abcdefg\0"),
        _header(kind=b"x", size=b"77777777777\0"),
        _header(kind=b"L", size=b"00010000000\0"),
        _header(kind=b"x", size=b"00000000010\0") + b"99 path=x".ljust(512, b"\0") + _header(),
        _header(kind=b"x", size=b"00000000010\0") + b"0 a=b\n12".ljust(512, b"\0") + _header(),
        _header(kind=b"x", size=b"00000000013\0") + b"11 path=a\0\n".ljust(512, b"\0") + _header(),
        _header(kind=b"x", size=b"00000000012\0") + b"10 size=-\n".ljust(512, b"\0") + _header(),
        _header(kind=b"x", size=b"00000000013\0") + b"11 size=-1\n".ljust(512, b"\0") + _header(),
        _header(kind=b"x", size=b"00000000016\0") + b"14 mtime=nan5\n".ljust(512, b"\0") + _header(),
        _header(kind=b"x", size=b"00000000000\0"),
        _header(kind=b"S", sparse=b"00000000010\x0000000000010\0"),
        _header(kind=b"S", sparse=b"\xff" * 24),
        _header() + bytes(512) + _header(),
        b"\x01" * 512,
        bytes(500) + b"x" * 12,
    ],
)
def test_malformed_headers(tree: Tree, archive: bytes) -> None:
    with pytest.raises(StorageError, match=r"malformed|truncated"):
        tree.unpack(archive + bytes(1024))


def test_huge_sparse_map_is_refused() -> None:
    text = b"GNU.sparse.map=" + b",".join([b"0,0"] * 200_000)
    record = b"%d %b\n" % (len(text) + 8, text)
    record = b"%d %b\n" % (len(record), text)
    archive = _header(kind=b"x", size=b"%011o\0" % len(record)) + record + bytes(-len(record) % 512) + _header()
    with pytest.raises(StorageError):
        TarReader(io.BytesIO(archive)).next_entry()


def test_disk_full_in_mid_unpack(tree: Tree) -> None:
    archive = Archive().file("a", os.urandom(100_000)).file("b", os.urandom(3_000_000)).bytes()
    with pytest.raises(StorageError, match="cannot unpack 'b'") as caught:
        call_in_namespace(_unpack_on_small_disk, archive, tree.root)
    assert "disk is full" in caught.value.cause


def _unpack_on_small_disk(archive: bytes, place: str) -> None:
    mount("tmpfs", place, "tmpfs", 0, "size=1m")
    unpack_layer(io.BytesIO(archive), os.open(place, os.O_RDONLY))


def _read_all(data: bytes) -> None:
    reader = TarReader(io.BytesIO(data))
    for _ in range(1000):
        if reader.next_entry() is None:
            break
    reader.finish()


@settings(max_examples=150, deadline=None, database=None)
@given(st.binary(max_size=3000))
def test_random_bytes_raise_nothing_else(data: bytes) -> None:
    with contextlib.suppress(StorageError):
        _read_all(data)


_SEED = Archive().file("a" * 120, b"data" * 300, mtime=1.5).symlink("s", "t" * 150).directory("d", uid=1 << 40).bytes()


@settings(max_examples=200, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.integers(0, len(_SEED) - 1), st.integers(0, 255)), max_size=8), st.booleans())
def test_changed_bytes_raise_nothing_else(changes: list[tuple[int, int]], mend_checksums: bool) -> None:
    data = bytearray(_SEED)
    for position, value in changes:
        data[position] = value
    if mend_checksums:
        for start in range(0, len(data), 512):
            if data[start + 257 : start + 262] == b"ustar":
                data[start + 148 : start + 156] = b"        "
                data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    with contextlib.suppress(StorageError):
        _read_all(bytes(data))


def test_checksum_of_signed_bytes_is_accepted() -> None:
    block = bytearray(_header(name=b"\xc3\xa4"))
    spaced = block[:148] + b"        " + block[156:]
    block[148:156] = b"%06o\0 " % sum(struct.unpack("512b", spaced))
    entry = TarReader(io.BytesIO(bytes(block))).next_entry()
    assert entry is not None
    assert entry.name == b"\xc3\xa4me"


class _Piece(bytes):
    """A piece of a decompressed stream that tells when it is put behind others by copying those once more."""

    copied = 0

    def __radd__(self, before: bytes) -> bytes:
        _Piece.copied += len(before)
        return b"".join((before, self))


def test_a_header_in_pieces_of_one_byte_is_joined_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each byte a gzip member of its own: a long name of 1 MiB would be copied a million times."""
    name = "n" * 3000
    archive = Archive(tarfile.GNU_FORMAT).add(name).bytes()
    pieces = (_Piece(archive[at : at + 1]) for at in range(len(archive)))
    monkeypatch.setattr("storage.tar.reader.decompressed", lambda _stream: pieces)
    entry = TarReader(io.BytesIO()).next_entry()
    assert entry is not None
    assert entry.name == name.encode()
    assert _Piece.copied == 0


@pytest.mark.parametrize("records", ["sparse", "pax"])
def test_a_bomb_of_records_is_counted(tree: Tree, records: str) -> None:
    """What compresses to nothing and is read number by number: records count towards the limit of entries."""
    if records == "pax":
        text = b"".join(_record(b"k%d" % number, b"") for number in range(3200))
        member = _member(b"x", text) + _member(b"0", b"")
    else:
        attributes = b"".join(
            _record(b"GNU.sparse." + key, value)
            for key, value in ((b"major", b"1"), (b"minor", b"0"), (b"realsize", b"0"), (b"name", b"f"))
        )
        sparse_map = b"3200\n" + b"0\n" * 6400
        member = _member(b"x", attributes) + _member(b"0", sparse_map + bytes(-len(sparse_map) % 512))
    tree.unpack(gzip.compress(member + bytes(1024)))
    with pytest.raises(StorageError, match="more than 1000 entries"):
        tree.unpack(gzip.compress(member * 10 + bytes(1024)), limits=Limits(entries=1000))


def _record(key: bytes, value: bytes) -> bytes:
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while length != len(body) + len(str(length)):
        length = len(body) + len(str(length))
    return b"%d" % length + body


def _member(kind: bytes, data: bytes) -> bytes:
    header = tarfile.TarInfo("f")
    header.type, header.size = kind, len(data)
    return header.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)
