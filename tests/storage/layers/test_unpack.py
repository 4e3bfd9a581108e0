"""Layers as honest tools make them: what is in the archive is in the tree."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import stat
import tarfile
from typing import TYPE_CHECKING

import pytest
import zstandard

from storage.errors import StorageError
from storage.owner_book import TrueOwner
from tests.storage.namespace import call_in_namespace
from tests.storage.tree import Archive

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.storage.tree import Tree

FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


@pytest.mark.parametrize("format", FORMATS)
def test_files_keep_content_mode_owner_and_time(tree: Tree, format: int) -> None:
    archive = (
        Archive(format).directory("etc", mode=0o750, uid=3).file("etc/a", b"abc", mode=0o4711, uid=5, gid=7).bytes()
    )
    result = tree.unpack(archive)
    found = tree.found()
    assert found["etc/a"] == ("-", 0o4711, 5, 7, b"abc", 1_000_000_000 * 10**9)
    assert found["etc"] == ("d", 0o750, 3, 0, b"", 1_000_000_000 * 10**9)
    assert result.diff_id == "sha256:" + hashlib.sha256(archive).hexdigest()
    assert (result.entries, result.size_bytes, result.notes) == (2, len(archive), ())


@pytest.mark.parametrize(
    "compress",
    [bytes, gzip.compress, zstandard.compress, bz2.compress, lzma.compress],
    ids=lambda made: made.__module__,
)
def test_every_compression_gives_the_same_tree_and_diff_id(tree: Tree, compress: Callable[[bytes], bytes]) -> None:
    archive = Archive().file("big", os.urandom(600_000)).file("zeros", bytes(3_000_000)).bytes()
    result = tree.unpack(compress(archive))
    assert result.diff_id == "sha256:" + hashlib.sha256(archive).hexdigest()
    assert tree.found()["zeros"].content == bytes(3_000_000)


def test_gzip_members_follow_one_another_and_padding_is_passed_over(tree: Tree) -> None:
    archive = Archive().file("a", os.urandom(100_000)).bytes()
    tree.unpack(gzip.compress(archive[:70_000]) + gzip.compress(archive[70_000:]) + bytes(4096))
    assert tree.found()["a"].content == archive[512 : 512 + 100_000]


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_links(tree: Tree, format: int) -> None:
    deep = "/".join(["d" * 50] * 10)
    archive = Archive(format).file(f"{deep}/file", b"x").link("hard", f"{deep}/file").symlink("soft", f"/{deep}/file")
    tree.unpack(archive.bytes())
    found = tree.found()
    assert found["hard"].content == found[f"{deep}/file"].content == b"x"
    assert found["soft"].content == f"/{deep}/file".encode()


def test_ustar_prefix(tree: Tree) -> None:
    name = "a" * 90 + "/" + "b" * 90
    tree.unpack(Archive(tarfile.USTAR_FORMAT).file(name, b"x").bytes())
    assert tree.found()[name].content == b"x"


def test_times_have_nanoseconds(tree: Tree) -> None:
    fields = {"mtime": "1234567890.123456789"}
    before = {"mtime": "-1.5"}
    archive = (
        Archive().file("a", pax_headers=fields).directory("d", pax_headers=fields).symlink("s", "a", pax_headers=fields)
    )
    tree.unpack(archive.file("d/inside").file("before", pax_headers=before).bytes())
    found = tree.found()
    assert {found[name].mtime_ns for name in ("a", "d", "s")} == {1234567890123456789}
    assert found["before"].mtime_ns == -1_500_000_000


def test_large_numbers_in_base_256_and_pax(tree: Tree) -> None:
    archive = Archive(tarfile.GNU_FORMAT).file("a", uid=60_000, gid=3_000_000_000)
    result = tree.unpack(archive.bytes())
    assert tree.found()["a"].uid == 0
    assert "60000:3000000000" in result.notes[0]


def test_owner_outside_the_map_is_recorded_and_set_id_bits_are_dropped(tree: Tree) -> None:
    result = tree.unpack(Archive().file("a", uid=2_000_000, mode=0o6755).directory("d", gid=1 << 31).bytes())
    found = tree.found()
    assert (found["a"].mode, found["a"].uid) == (0o755, 0)
    assert tree.owners() == {
        b"a": TrueOwner(2_000_000, 0, stat.S_IFREG | 0o6755),
        b"d": TrueOwner(0, 1 << 31, stat.S_IFDIR | 0o755),
    }
    assert os.listxattr(tree.layers[0] + "/a") == []
    assert "outside the subordinate ids" in result.notes[0]


def test_special_modes_of_files_and_directories(tree: Tree) -> None:
    archive = Archive().directory("tmp", mode=0o1777).directory("sgid", mode=0o2775, gid=4).file("sgid/a", b"x")
    tree.unpack(archive.file("sgid/caps", b"x", mode=0o6755, uid=1, gid=1).directory("closed", mode=0).bytes())
    found = tree.found()
    assert (found["tmp"].mode, found["sgid"].mode, found["closed"].mode) == (0o1777, 0o2775, 0)
    # the group of a file is the archive's, not that of the set-group-id directory around it
    assert (found["sgid/a"].gid, found["sgid/caps"].mode) == (0, 0o6755)


def test_root_entry_describes_the_layer_root(tree: Tree) -> None:
    result = tree.unpack(Archive().directory("./", mode=0o711, uid=9).file("./a", b"x").bytes())
    found = tree.found()
    assert (found["."].mode, found["."].uid) == (0o711, 9)
    assert b"" not in result.implied


def test_missing_parents_are_made_and_told(tree: Tree) -> None:
    result = tree.unpack(Archive().file("a/b/c", b"x").directory("a/b", mode=0o700).bytes())
    assert result.implied == (b"", b"a")
    assert (tree.found()["a"].mode, tree.found()["a/b"].mode) == (0o755, 0o700)


def test_hard_links_share_an_inode(tree: Tree) -> None:
    tree.unpack(Archive().file("a", b"x").link("b", "a").link("c", "./b").symlink("s", "a").link("t", "s").bytes())
    status = os.stat(tree.layers[0] + "/a")
    assert status.st_nlink == 3
    assert os.readlink(tree.layers[0] + "/t") == "a"


def test_hard_link_into_a_lower_layer_copies_the_file(tree: Tree) -> None:
    tree.unpack(Archive().file("usr/a", b"lower", uid=3, mode=0o4755).bytes())
    tree.unpack(Archive().file("other").bytes())
    tree.unpack(Archive().link("b", "usr/a").bytes(), lower=True)
    assert tree.found()["b"][:5] == ("-", 0o4755, 3, 0, b"lower")


def test_hard_link_to_nothing_is_an_error(tree: Tree) -> None:
    with pytest.raises(StorageError, match="cannot link 'b' to 'usr/a'"):
        tree.unpack(Archive().link("b", "usr/a").bytes())


def test_xattrs_and_file_capabilities(tree: Tree) -> None:
    capability = bytes.fromhex("0100000202040000000000000000000000000000")
    xattrs = {"SCHILY.xattr.user.note": "hello", "SCHILY.xattr.security.capability": capability.decode("latin-1")}
    tree.unpack(Archive().file("ping", b"x", uid=1, pax_headers=xattrs).directory("d", pax_headers=xattrs).bytes())
    ping = tree.layers[0] + "/ping"
    assert os.getxattr(ping, "user.note") == b"hello"
    assert call_in_namespace(os.getxattr, ping, "security.capability") == capability
    assert os.getxattr(tree.layers[0] + "/d", "user.note") == b"hello"


def test_bookkeeping_xattrs_are_dropped(tree: Tree) -> None:
    forged = {"SCHILY.xattr.user.overlay.opaque": "y", "SCHILY.xattr.trusted.overlay.redirect": "/etc"}
    result = tree.unpack(Archive().directory("d", pax_headers=forged).bytes())
    assert os.listxattr(tree.layers[0] + "/d") == []
    assert len(result.notes) == 2


def test_devices_are_passed_over_with_a_note_and_fifos_made(tree: Tree) -> None:
    archive = (
        Archive().add("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3).add("loop0", tarfile.BLKTYPE, devmajor=7)
    )
    result = tree.unpack(archive.add("pipe", tarfile.FIFOTYPE, uid=4, mode=0o620).bytes())
    found = tree.found()
    assert set(found) == {".", "dev", "pipe"}
    assert found["pipe"][:3] == ("p", 0o620, 4)
    assert len(result.notes) == 2


def test_unknown_types_are_passed_over_with_their_data(tree: Tree) -> None:
    result = tree.unpack(Archive().add("label", b"V", bytes(1500)).file("a", b"x").bytes())
    assert set(tree.found()) == {".", "a"}
    assert "unknown type" in result.notes[0]


def test_last_entry_of_a_name_wins(tree: Tree) -> None:
    archive = Archive().file("f", b"one").file("f", b"two").directory("d").file("d/x", b"x").file("d", b"file now")
    archive.file("e", b"file").directory("e").file("e/y", b"y").symlink("l", "e").directory("l").file("l/z", b"z")
    tree.unpack(archive.bytes())
    found = tree.found()
    assert {name: entry.content for name, entry in found.items() if entry.kind != "d"} == {
        "f": b"two",
        "d": b"file now",
        "e/y": b"y",
        "l/z": b"z",
    }


def test_global_pax_header_holds_for_all_members(tree: Tree) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", pax_headers={"uid": "12", "comment": "c0ffee"}) as tar:
        tar.addfile(tarfile.TarInfo("a"))
    tree.unpack(file.getvalue())
    assert tree.found()["a"].uid == 12


def test_archive_without_end_mark(tree: Tree) -> None:
    tree.unpack(Archive().file("a", b"x").bytes()[:1024])
    assert tree.found()["a"].content == b"x"


def test_empty_stream_is_an_empty_layer(tree: Tree) -> None:
    assert tree.unpack(b"").entries == 0
    assert tree.unpack(gzip.compress(bytes(1024))).entries == 0
