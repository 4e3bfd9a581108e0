"""Owners outside the map: what unpacking writes down, and whose an entry of a merged tree is then."""

from __future__ import annotations

import io
import os
import sqlite3
import stat
import tarfile
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from storage.errors import StorageError
from storage.layers.undescribed_directories import inherit_directories
from storage.overlay.copy import CopyDriver
from storage.owner_book import OwnerBook, TrueOwner, find_other_owner, owner_book_beside
from storage.tar.diff import write_layer
from storage.tar.writer import write_tree
from storage.trees.compare import find_difference
from storage.true_owners import BookOwners, KnownOwners, TrueOwners
from storage.whiteouts import make_opaque, make_whiteout
from tests.storage.namespace import call_in_namespace
from tests.storage.tree import Archive, Tree

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FOREIGN = 2_000_000
_OURS: dict[str, Any] = {"uid": FOREIGN, "gid": FOREIGN + 1}
Members = dict[str, tuple[int, int, int]]


def _members(data: bytes) -> Members:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: (member.uid, member.gid, member.mode) for member in archive}


def _archived(write: Callable[[int], object]) -> Members:
    out = os.memfd_create("archive")
    with open(out, "rb") as file:
        write(out)
        file.seek(0)
        return _members(file.read())


def _exported(layers: list[str], upper: str) -> Members:
    """What an export of the kernel's overlay has, over the layers and below what `upper` has."""
    from storage.overlay.kernel import KernelDriver
    from storage.syscalls import MNT_DETACH, umount2

    target = f"{upper}/../root"
    os.makedirs(target, exist_ok=True)
    driver = KernelDriver()
    driver.prepare(os.path.dirname(upper))
    driver.mount_root(layers, os.path.dirname(upper), target)
    root_fd = os.open(target, os.O_RDONLY)
    try:
        with driver.true_owners(layers, os.path.dirname(upper)) as owners:
            return _archived(lambda out: write_tree(root_fd, out, owners))
    finally:
        os.close(root_fd)
        umount2(target, MNT_DETACH)


def _foreign_tree(tree: Tree) -> None:
    archive = Archive().directory("d", mode=0o2775, **_OURS).file("d/f", b"x", mode=0o4755, **_OURS)
    archive.file("own", b"o").add("link", tarfile.SYMTYPE, linkname="own", **_OURS)
    archive.add("pipe", tarfile.FIFOTYPE, **_OURS).add("d/hard", tarfile.LNKTYPE, linkname="d/f")
    tree.unpack(archive.bytes())


def test_every_kind_of_entry_keeps_its_true_owner(tree: Tree) -> None:
    _foreign_tree(tree)
    kinds = {path: stat.S_IFMT(true.mode) for path, true in tree.owners().items()}
    assert kinds == {
        b"d": stat.S_IFDIR,
        b"d/f": stat.S_IFREG,
        b"d/hard": stat.S_IFREG,
        b"link": stat.S_IFLNK,
        b"pipe": stat.S_IFIFO,
    }
    assert {(true.uid, true.gid) for true in tree.owners().values()} == {(FOREIGN, FOREIGN + 1)}


def test_an_export_has_the_true_owners_and_modes(tree: Tree) -> None:
    _foreign_tree(tree)
    found = call_in_namespace(_exported, tree.layers, f"{tree.root}/over/upper")
    assert found["d"] == (FOREIGN, FOREIGN + 1, 0o2775)
    assert found["d/f"] == found["d/hard"] == (FOREIGN, FOREIGN + 1, 0o4755)
    assert found["link"][:2] == found["pipe"][:2] == (FOREIGN, FOREIGN + 1)
    assert found["own"] == (0, 0, 0o644)


def test_the_last_entry_of_a_name_decides(tree: Tree) -> None:
    archive = Archive().file("a", **_OURS).file("a").directory("b", **_OURS).file("b/c", **_OURS).file("b", b"now")
    archive.file("e", uid=5).file("e", **_OURS).directory("f", **_OURS).directory("f")
    tree.unpack(archive.bytes())
    assert list(tree.owners()) == [b"e"]


def test_an_entry_is_known_by_where_it_really_is(tree: Tree) -> None:
    archive = Archive().directory("usr/lib").add("lib", tarfile.SYMTYPE, linkname="usr/lib").file("lib/x", **_OURS)
    tree.unpack(archive.directory("lib/d", **_OURS).bytes())
    assert sorted(tree.owners()) == [b"usr/lib/d", b"usr/lib/x"]


@pytest.mark.parametrize("uid", [1 << 32, (1 << 32) - 1])
def test_an_id_that_no_file_can_have_is_told_and_not_kept(tree: Tree, uid: int) -> None:
    result = tree.unpack(Archive().file("a", pax_headers={"uid": str(uid)}).bytes())
    assert tree.owners() == {}
    assert str(uid) in result.notes[0]


def test_forged_attributes_mean_nothing(tree: Tree) -> None:
    _foreign_tree(tree)
    for value in (b"0:0", b"0", b"x:y", b"", b"-1:-1", b"9" * 100, b"1000:1000\0"):
        found = call_in_namespace(_forge_and_export, tree.layers, f"{tree.root}/over{value[:4].hex()}/upper", value)
        assert found["forged"] == (1000, 1000, 0o4755)
        assert found["d/forged-too"] == (0, 0, 0o644)


def _forge_and_export(layers: list[str], upper: str, value: bytes) -> Members:
    os.makedirs(f"{upper}/d")
    os.chmod(f"{upper}/d", 0o775)
    for name in ("forged", "d/forged-too"):
        with open(f"{upper}/{name}", "w"):
            os.setxattr(f"{upper}/{name}", "user.sandbox.owner", value)
    os.chown(f"{upper}/forged", 1000, 1000)
    os.chmod(f"{upper}/forged", 0o4755)
    os.chmod(f"{upper}/d/forged-too", 0o644)
    return _exported(layers, upper)


def test_what_was_written_belongs_to_whom_the_file_system_says(tree: Tree) -> None:
    _foreign_tree(tree)
    found = call_in_namespace(_change_and_export, tree.layers, f"{tree.root}/over/upper")
    # changed by what came into it alone, and so still the image's
    assert found["d"] == (FOREIGN, FOREIGN + 1, 0o2775)
    assert found["d/f"] == (0, 0, 0o4711)
    assert found["link"][:2] == (0, 0)
    assert found["pipe"][:2] == (7, 8)


def _change_and_export(layers: list[str], upper: str) -> Members:
    os.makedirs(f"{upper}/d")
    os.chmod(f"{upper}/d", 0o775)
    os.mkfifo(f"{upper}/pipe")
    os.chown(f"{upper}/pipe", 7, 8)
    for name, mode in (("d/f", 0o4711), ("link", 0o644)):
        with open(f"{upper}/{name}", "w"):
            os.chmod(f"{upper}/{name}", mode)
    return _exported(layers, upper)


@pytest.mark.parametrize("hides", ["whiteout", "opaque", "file", "above"])
def test_nothing_is_believed_of_what_a_higher_tree_hides(tree: Tree, hides: str) -> None:
    _foreign_tree(tree)
    assert not call_in_namespace(_find_hidden, tree.layers, f"{tree.root}/over", hides)


def _find_hidden(layers: list[str], upper: str, hides: str) -> bool:
    os.mkdir(upper)
    fd = os.open(upper, os.O_RDONLY)
    if hides == "whiteout":
        make_whiteout(fd, b"d")
    elif hides == "file":
        os.close(os.open(f"{upper}/d", os.O_CREAT))
    else:
        os.mkdir(f"{upper}/d")
        inner = os.open(f"{upper}/d", os.O_RDONLY)
        make_opaque(inner)
        os.close(inner)
    os.close(fd)
    with TrueOwners(layers, upper) as owners:
        name = b"d/f" if hides == "above" else b"d"
        return owners.find(name, os.lstat(os.fsencode(layers[0]) + b"/" + name)) is not None


def test_a_directory_that_is_implied_takes_over_the_owner(tree: Tree) -> None:
    _foreign_tree(tree)
    result = tree.unpack(Archive().file("d/new").bytes())
    call_in_namespace(_inherit, tree.layers, result.implied)
    assert set(tree.owners()) == {b"d"}
    found = call_in_namespace(_exported, tree.layers, f"{tree.root}/over/upper")
    assert found["d"][:2] == (FOREIGN, FOREIGN + 1)
    assert found["d/new"][:2] == (0, 0)


def _inherit(layers: list[str], implied: tuple[bytes, ...]) -> None:
    fds = [os.open(layer, os.O_RDONLY) for layer in layers]
    with closing(owner_book_beside(layers[-1])) as book:
        inherit_directories(fds[-1], implied, fds[-2::-1], book)


def test_a_hard_link_into_a_lower_layer_takes_over_the_owner(tree: Tree) -> None:
    _foreign_tree(tree)
    tree.unpack(Archive().add("again", tarfile.LNKTYPE, linkname="d/f").bytes(), lower=True)
    assert tree.owners() == {b"again": TrueOwner(FOREIGN, FOREIGN + 1, stat.S_IFREG | 0o4755)}


def test_a_step_keeps_the_owners_of_directories_it_changed(tree: Tree) -> None:
    _foreign_tree(tree)
    upper = f"{tree.root}/step/upper"
    written = call_in_namespace(_write_step, tree.layers, upper)
    assert written == {"d": (FOREIGN, FOREIGN + 1, 0o2775), "d/new": (0, 0, 0o644)}
    with closing(owner_book_beside(upper)) as book:
        assert [path for path, _true in book.entries()] == [b"d"]
    # and so the archive can be made of the layer again
    assert call_in_namespace(_write_again, upper) == written


def _write_step(layers: list[str], upper: str) -> Members:
    os.makedirs(f"{upper}/d")
    os.chmod(f"{upper}/d", 0o775)
    with open(f"{upper}/d/new", "w"):
        os.chmod(f"{upper}/d/new", 0o644)
    fd = os.open(upper, os.O_RDONLY)
    with TrueOwners(layers, upper) as owners, closing(owner_book_beside(upper)) as book:
        return _archived(lambda out: write_layer(fd, out, KnownOwners(owners, book)))


def _write_again(upper: str) -> Members:
    fd = os.open(upper, os.O_RDONLY)
    with closing(owner_book_beside(upper)) as book:
        return _archived(lambda out: write_layer(fd, out, BookOwners(book)))


def test_a_tree_that_was_copied_has_them_where_nothing_was_changed(tree: Tree) -> None:
    _foreign_tree(tree)
    found = call_in_namespace(_copy_and_export, tree.layers, f"{tree.root}/copy")
    assert found["d"] == (FOREIGN, FOREIGN + 1, 0o2775)
    assert found["d/hard"] == (FOREIGN, FOREIGN + 1, 0o4755)
    assert found["d/f"][:2] == (0, 0)


def _copy_and_export(layers: list[str], upper: str) -> Members:
    from storage.syscalls import MNT_DETACH, umount2

    driver = CopyDriver()
    driver.prepare(upper)
    os.mkdir(f"{upper}/mounted")
    driver.mount_root(layers, upper, f"{upper}/mounted")
    root_fd = os.open(f"{upper}/mounted", os.O_RDONLY)
    try:
        os.unlink("d/f", dir_fd=root_fd)
        os.close(os.open("d/f", os.O_CREAT, dir_fd=root_fd))
        with driver.true_owners(layers, upper) as owners:
            return _archived(lambda out: write_tree(root_fd, out, owners))
    finally:
        os.close(root_fd)
        umount2(f"{upper}/mounted", MNT_DETACH)


def test_a_comparison_passes_over_bookkeeping_and_looks_into_the_books(tmp_path: Path) -> None:
    trees = [tmp_path / "a" / "diff", tmp_path / "b" / "diff"]
    for tree in trees:
        tree.mkdir(parents=True)
        (tree / "f").write_text("x")
        os.utime(tree / "f", ns=(1, 1))
    os.setxattr(trees[1] / "f", "user.sandbox.owner", b"0:0")
    fds = [os.open(tree, os.O_RDONLY) for tree in trees]
    try:
        assert find_difference(fds[0], fds[1]) == ""
    finally:
        for fd in fds:
            os.close(fd)
    books = [owner_book_beside(str(tree)) for tree in trees]
    for number, owner in ((0, FOREIGN), (1, FOREIGN)):
        books[number].note(b"f", TrueOwner(owner, 0, stat.S_IFREG))
        assert find_other_owner(books[0], books[1]) == (None if number else b"f")
    books[0].note(b"a", TrueOwner(1, 1, stat.S_IFREG))
    assert find_other_owner(books[0], books[1]) == b"a"
    for book in books:
        book.close()


@pytest.mark.parametrize(
    "row", [("x", 0, 0), (-1, 0, 0), (1 << 40, 0, 0), (0, None, 0), (0, 0, -1), (0, 0, 1 << 40), (1.5, 0, 0)]
)
def test_a_damaged_book_is_an_error_of_ours(tmp_path: Path, row: tuple[object, object, object]) -> None:
    path = str(tmp_path / "owners")
    with closing(OwnerBook(path)) as book:
        book.note(b"f", TrueOwner(1, 2, stat.S_IFREG))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE owner SET uid = ?, gid = ?, mode = ?", row)
        connection.commit()
    with closing(OwnerBook(path)) as book, pytest.raises(StorageError, match="cannot use the owners"):
        book.find(b"f")


def test_a_book_that_is_no_database_is_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "owners"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(StorageError, match="cannot use the owners"):
        OwnerBook(str(path)).find(b"f")
