"""Trees are removed and measured whole, and nothing outside them is touched."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from storage.errors import StorageError
from storage.trees.tree import disk_usage, is_small_tree, remove_tree
from storage.trees.walk import Walk

if TYPE_CHECKING:
    from pathlib import Path


def _make_deep(root: str, depth: int) -> None:
    """Directories deeper than any path may be long."""
    fd = os.open(root, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 20, dir_fd=fd)
        below = os.open("d" * 20, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(os.open("bottom", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def test_deep_trees(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    _make_deep(str(root), 1500)
    assert disk_usage(str(root)).entries == 1501
    remove_tree(str(root))
    assert not root.exists()


def test_missing_files_and_symlinks(tmp_path: Path) -> None:
    remove_tree(str(tmp_path / "no" / "such"))
    remove_tree(str(tmp_path / "none"))
    kept = tmp_path / "kept"
    (kept / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(kept)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "link").symlink_to(kept)
    remove_tree(str(tmp_path / "link"))
    remove_tree(str(tmp_path / "tree"))
    assert os.listdir(tmp_path) == ["kept"]
    assert (kept / "below").is_dir()


def test_unreadable_directories_are_removed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").write_bytes(b"x")
    for path in (root / "a" / "b", root / "a", root):
        path.chmod(0)
    remove_tree(str(root))
    assert not root.exists()


def test_what_cannot_be_removed_is_an_error() -> None:
    with pytest.raises(StorageError, match="cannot remove /etc/passwd"):
        remove_tree("/etc/passwd")


def test_usage_counts_hard_links_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 10_000)
    os.link(tmp_path / "a", tmp_path / "b")
    (tmp_path / "d").mkdir()
    usage = disk_usage(str(tmp_path))
    assert (usage.size_bytes, usage.entries) == (10_000, 2)
    assert usage.allocated_bytes >= 10_000


def test_a_directory_moved_away_ends_the_walk(tmp_path: Path) -> None:
    (tmp_path / "tree" / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    fd = os.open(tmp_path / "tree", os.O_RDONLY)
    steps = iter(Walk(fd))
    assert next(steps).name == b"a"
    assert next(steps).name == b"b"
    os.rename(tmp_path / "tree" / "a", tmp_path / "elsewhere" / "a")
    assert next(steps).leaving
    with pytest.raises(StorageError, match="moved"):
        next(steps)
    os.close(fd)


def test_a_small_tree_is_told_from_a_large_one(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to("/")
    assert is_small_tree(str(tmp_path / "a"))
    with open(tmp_path / "a" / "b" / "large", "wb") as file:
        file.truncate(1 << 30)
    assert not is_small_tree(str(tmp_path / "a"))
    (tmp_path / "a" / "b" / "large").unlink()
    for number in range(100):
        (tmp_path / "a" / "b" / str(number)).touch()
    assert not is_small_tree(str(tmp_path / "a"))
    assert not is_small_tree(str(tmp_path / "missing"))
