"""Whiteouts and opaque directories, seen through a real overlay mount."""

from __future__ import annotations

import pytest

from storage.errors import StorageError
from tests.storage.tree import Archive, Tree


def _base(tree: Tree) -> None:
    tree.unpack(Archive().directory("d", mode=0o711).file("d/one", b"1").file("d/two", b"2").file("top", b"t").bytes())


def _names(tree: Tree) -> set[str]:
    return set(tree.merged()) - {"."}


def test_whiteout_hides_a_file_and_a_tree(tree: Tree) -> None:
    _base(tree)
    tree.unpack(Archive().file(".wh.top").directory("d").file("d/.wh.one").bytes())
    assert _names(tree) == {"d", "d/two"}
    tree.unpack(Archive().file(".wh.d").bytes())
    assert _names(tree) == set()


def test_opaque_directory_hides_what_lies_below_whatever_the_order(tree: Tree) -> None:
    _base(tree)
    tree.unpack(Archive().directory("d").file("d/new", b"n").file("d/.wh..wh..opq").bytes())
    assert _names(tree) == {"top", "d", "d/new"}


def test_opaque_root_hides_every_lower_layer(tree: Tree) -> None:
    _base(tree)
    tree.unpack(Archive().file(".wh..wh..opq").file("only", b"o").bytes())
    tree.unpack(Archive().file("above", b"a").bytes())
    assert _names(tree) == {"only", "above"}


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_whiteout_and_new_directory_of_one_name(tree: Tree, whiteout_first: bool) -> None:
    _base(tree)
    archive = Archive()
    if whiteout_first:
        archive.file(".wh.d")
    archive.directory("d").file("d/new", b"n")
    if not whiteout_first:
        archive.file(".wh.d")
    tree.unpack(archive.bytes())
    assert _names(tree) == {"top", "d", "d/new"}


def test_whiteout_does_not_hide_a_file_of_its_own_layer(tree: Tree) -> None:
    _base(tree)
    tree.unpack(Archive().file("top", b"new").file(".wh.top").bytes())
    assert tree.merged()["top"].content == b"new"


def test_whiteout_of_what_no_layer_has(tree: Tree) -> None:
    _base(tree)
    tree.unpack(Archive().file("d/.wh.x").file(".wh.y").bytes())
    assert _names(tree) == {"d", "d/one", "d/two", "top"}


def test_whiteout_in_an_opaque_directory_is_not_listed(tree: Tree) -> None:
    _base(tree)
    tree.unpack(Archive().directory("d").file("d/.wh..wh..opq").file("d/.wh.one").file("d/new").bytes())
    assert _names(tree) == {"d", "d/new", "top"}


def test_aufs_bookkeeping_is_passed_over(tree: Tree) -> None:
    tree.unpack(Archive().file(".wh..wh.aufs").directory(".wh..wh.plnk").file(".wh..wh.orph/x").file("a").bytes())
    assert "a" in tree.found()
    assert ".wh..wh.aufs" not in tree.found()


@pytest.mark.parametrize("name", [".wh.", ".wh..", ".wh...", "d/.wh."])
def test_whiteout_without_a_name_is_refused(tree: Tree, name: str) -> None:
    with pytest.raises(StorageError, match="cannot unpack"):
        tree.unpack(Archive().file(name).bytes())


def test_forged_whiteout_device_is_passed_over(tree: Tree) -> None:
    _base(tree)
    result = tree.unpack(Archive().add("top", b"3", devmajor=0, devminor=0).bytes())
    assert tree.merged()["top"].content == b"t"
    assert len(result.notes) == 1
