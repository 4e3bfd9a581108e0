"""What an upper directory, or a whole tree, changed over layers: one expected list for both."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import pytest

from storage.layers.changes import find_changes
from storage.trees.tree import remove_tree
from storage.whiteouts import OPAQUE_XATTR, WHITEOUT_XATTR

if TYPE_CHECKING:
    from pathlib import Path


class Trees(NamedTuple):
    lower: Path
    top: Path
    upper: Path
    merged: Path


@pytest.fixture
def trees(tmp_path: Path) -> Trees:
    made = Trees(*(tmp_path / name for name in Trees._fields))
    for tree in made:
        tree.mkdir()
    return made


def _write(tree: Path, path: str, text: str = "", time: int = 1) -> None:
    place = tree / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.endswith("/"):
        place.mkdir(exist_ok=True)
        return
    place.write_text(text)
    os.utime(place, (time, time))


def _whiteout(tree: Path, path: str) -> None:
    # as a user may make it: the device needs a mapped namespace
    place = tree / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("")
    os.setxattr(place, WHITEOUT_XATTR, b"y")
    if OPAQUE_XATTR not in os.listxattr(place.parent):
        os.setxattr(place.parent, OPAQUE_XATTR, b"x")


def _shown(tree: Path, trees: Trees, *, complete: bool) -> list[str]:
    fd = os.open(tree, os.O_RDONLY)
    try:
        changes = find_changes(fd, [str(trees.lower), str(trees.top)], complete=complete)
        return [f"{'CAD'[change.kind]} {os.fsdecode(change.path)}" for change in changes]
    finally:
        os.close(fd)


def _require(trees: Trees, *lines: str) -> None:
    assert _shown(trees.upper, trees, complete=False) == list(lines)
    assert _shown(trees.merged, trees, complete=True) == list(lines)


def test_files_added_changed_and_deleted(trees: Trees) -> None:
    for path in ("a/b/kept", "a/b/changed", "a/b/gone", "z"):
        _write(trees.lower, path, "old")
    for tree in (trees.upper, trees.merged):
        _write(tree, "a/b/changed", "longer", 2)
        _write(tree, "a/b/new")
        _write(tree, "new/deep/er")
    for path in ("a/b/kept", "z"):
        _write(trees.merged, path, "old")
    _whiteout(trees.upper, "a/b/gone")
    _require(trees, "C a", "C a/b", "C a/b/changed", "D a/b/gone", "A a/b/new", "A new", "A new/deep", "A new/deep/er")


def test_what_was_only_copied_up_is_no_change(trees: Trees) -> None:
    _write(trees.lower, "a/file", "same")
    _write(trees.lower, "link-to")
    (trees.lower / "link").symlink_to("link-to")
    for tree in (trees.upper, trees.merged):
        _write(tree, "a/file", "same")
        _write(tree, "link-to")
        (tree / "link").symlink_to("link-to")
        os.utime(tree / "link", (3, 3), follow_symlinks=False)
    os.utime(trees.lower / "link", (3, 3), follow_symlinks=False)
    _require(trees)


def test_rights_of_directories_count_and_times_do_not(trees: Trees) -> None:
    _write(trees.lower, "shut/")
    _write(trees.lower, "timed/")
    for tree in (trees.upper, trees.merged):
        _write(tree, "shut/")
        _write(tree, "timed/")
        (tree / "shut").chmod(0o700)
        os.utime(tree / "timed", (5, 5))
    _require(trees, "C shut")


def test_a_directory_that_was_made_anew(trees: Trees) -> None:
    for path in ("d/gone", "d/deep/gone", "d/same", "d/sub/old"):
        _write(trees.lower, path, "x")
    _write(trees.top, "d/above", "x")
    for tree in (trees.upper, trees.merged):
        _write(tree, "d/same", "x")
        _write(tree, "d/new", "x")
        _write(tree, "d/sub/young", "x")
    os.setxattr(trees.upper / "d", OPAQUE_XATTR, b"y")
    _require(trees, "C d", "D d/above", "D d/deep", "D d/gone", "A d/new", "C d/sub", "D d/sub/old", "A d/sub/young")


def test_a_file_in_a_directory_s_place_and_the_other_way(trees: Trees) -> None:
    _write(trees.lower, "d/in")
    _write(trees.lower, "f", "x")
    for tree in (trees.upper, trees.merged):
        _write(tree, "d", "x")
        _write(tree, "f/in")
    _require(trees, "C d", "D d/in", "C f", "A f/in")


def test_a_whiteout_of_nothing_is_nothing(trees: Trees) -> None:
    _write(trees.top, "a/b")
    _whiteout(trees.upper, "a/never")
    assert _shown(trees.upper, trees, complete=False) == []


def test_layers_hide_what_lies_below_them(trees: Trees) -> None:
    _write(trees.lower, "a/hidden")
    _write(trees.lower, "b/under")
    _whiteout(trees.top, "a/hidden")
    _write(trees.top, "b/over")
    os.setxattr(trees.top / "b", OPAQUE_XATTR, b"y")
    for tree in (trees.upper, trees.merged):
        _write(tree, "a/hidden")
        _write(tree, "b/under")
    _write(trees.merged, "b/over", time=1)
    _require(trees, "C a", "A a/hidden", "C b", "A b/under")


def test_a_tree_deeper_than_any_stack(trees: Trees) -> None:
    fd = os.open(trees.upper, os.O_RDONLY)
    for _ in range(2000):
        os.mkdir("d", dir_fd=fd)
        inner = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    lines = _shown(trees.upper, trees, complete=False)
    # pytest could not
    remove_tree(str(trees.upper))
    assert len(lines) == 2000
    assert {line[0] for line in lines} == {"A"}
