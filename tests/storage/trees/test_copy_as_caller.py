"""Trees given to a user: the user's own files, and nothing written but below the target."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from storage.errors import StorageError
from storage.trees.copy_as_caller import copy_as_caller
from storage.trees.tree import disk_usage, remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def _give(source: Path, target: Path) -> tuple[str, ...]:
    with _opened(source) as source_fd, _opened(target) as target_fd:
        return copy_as_caller(source_fd, target_fd)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "source"
    path.mkdir()
    yield path
    # pytest removes old directories by recursion, and a whole later run would end where one is too deep for that
    remove_tree(str(path))


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "target"
    path.mkdir()
    yield path
    # pytest removes old directories by recursion, and a whole later run would end where one is too deep for that
    remove_tree(str(path))


def test_all_kinds(source: Path, target: Path) -> None:
    (source / "d/e").mkdir(parents=True)
    (source / "d/e/file").write_bytes(b"x" * 100_000)
    (source / "d/e/file").chmod(0o640)
    os.utime(source / "d/e/file", ns=(1, 5_000_000_007))
    (source / "d/link").symlink_to("/etc/passwd")
    os.link(source / "d/e/file", source / "z")
    os.link(source / "d/link", source / "zlink", follow_symlinks=False)
    os.mkfifo(source / "pipe")
    (source / "pipe").chmod(0o666)
    (source / "tool").write_text("#!/bin/sh\n")
    (source / "tool").chmod(0o6755)
    (source / "d").chmod(0o555)
    (target / "stays").write_text("mine")
    assert _give(source, target) == ()
    (source / "d").chmod(0o755)
    file = (target / "d/e/file").stat()
    assert stat.S_IMODE(file.st_mode) == 0o640
    assert file.st_mtime_ns == 5_000_000_007
    assert (target / "z").stat().st_ino == file.st_ino
    assert os.readlink(target / "d/link") == "/etc/passwd"
    assert os.lstat(target / "zlink").st_ino == os.lstat(target / "d/link").st_ino
    assert (target / "pipe").stat().st_mode == stat.S_IFIFO | 0o666
    # a program that was root's does not become one that runs as this user for everybody
    assert stat.S_IMODE((target / "tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((target / "d").stat().st_mode) == 0o555
    assert (target / "stays").read_text() == "mine"
    (target / "d").chmod(0o755)
    assert {path.name for path in target.iterdir()} == {"d", "z", "zlink", "pipe", "tool", "stays"}


def test_twice_is_the_same(source: Path, target: Path) -> None:
    (source / "a").write_text("1")
    os.link(source / "a", source / "b")
    (source / "d").mkdir()
    for _time in range(2):
        _give(source, target)
        assert sorted(path.name for path in target.iterdir()) == ["a", "b", "d"]
        assert (target / "a").stat().st_ino == (target / "b").stat().st_ino


def test_symlinks_in_the_way_are_replaced(source: Path, target: Path, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.mkdir()
    marker = tmp_path / "marker"
    marker.write_text("unchanged")
    (source / "dir").mkdir()
    (source / "dir/inside").write_text("new")
    (source / "file").write_text("new")
    (source / "link").symlink_to(canary)
    (target / "dir").symlink_to(canary)
    (target / "file").symlink_to(marker)
    (target / "link").symlink_to(marker)
    _give(source, target)
    assert marker.read_text() == "unchanged"
    assert list(canary.iterdir()) == []
    assert (target / "dir/inside").read_text() == "new"
    assert (target / "file").read_text() == "new"
    assert os.readlink(target / "link") == str(canary)


def test_a_link_of_the_tree_is_not_gone_through(source: Path, target: Path, tmp_path: Path) -> None:
    """First a symlink, in a later copy a directory of the same name: the link gives way."""
    canary = tmp_path / "canary"
    canary.mkdir()
    (source / "x").symlink_to(canary)
    _give(source, target)
    (source / "x").unlink()
    (source / "x").mkdir()
    (source / "x/y").write_text("1")
    _give(source, target)
    assert list(canary.iterdir()) == []
    assert (target / "x/y").read_text() == "1"


def test_a_directory_in_a_files_way_is_kept(source: Path, target: Path) -> None:
    (source / "name").write_text("file")
    (target / "name").mkdir()
    (target / "name/kept").write_text("mine")
    with pytest.raises(StorageError, match="cannot write name"):
        _give(source, target)
    assert [path.name for path in target.iterdir()] == ["name"]
    assert (target / "name/kept").read_text() == "mine"


def test_deeper_than_descriptors_and_paths_allow(source: Path, target: Path) -> None:
    with _opened(source) as fd:
        here = os.dup(fd)
        for _level in range(1500):
            os.mkdir("deep", dir_fd=here)
            inner = os.open("deep", os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = inner
        os.close(here)
    assert _give(source, target) == ()
    assert disk_usage(str(target)).entries == 1500
