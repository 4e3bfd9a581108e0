"""Paths inside a root: the secure-join vectors, and what they cannot say."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from storage.trees.resolve import mkdir_in_root, open_in_root
from tests.needs import vectors_directory

if TYPE_CHECKING:
    from pathlib import Path

TABLES = ("TestSymlink", "TestNoSymlink", "TestNonLexical", "TestSymlinkLoop", "TestEnotdir")


def _cases(table: str) -> Any:
    return json.loads((vectors_directory() / "secure-join.json").read_text())["cases"][table][0]


def _join(value: Any, root: str) -> str:
    """A value of the vectors as a path below `root`."""
    if isinstance(value, dict):
        return os.path.normpath("/".join(_join(argument, root) for argument in value["args"]))
    return root if value in ("$dir", "$rootOrVol") else str(value)


def _opened(root: str, path: str) -> str:
    """Where the directory that `mkdir_in_root` makes really lies."""
    root_fd = os.open(root, os.O_RDONLY)
    try:
        fd = mkdir_in_root(root_fd, path)
        try:
            return os.readlink(f"/proc/self/fd/{fd}")
        finally:
            os.close(fd)
    finally:
        os.close(root_fd)


@pytest.mark.requires("vectors")
@pytest.mark.parametrize("table", ["TestNoSymlink"])
def test_vectors_without_symlinks(tmp_path: Path, table: str) -> None:
    root = str(tmp_path)
    for _, unsafe, expected in _cases(table):
        assert _opened(root, unsafe) == _join(expected, root)


@pytest.mark.requires("vectors")
def test_vectors_of_symlinks_that_dots_follow(tmp_path: Path) -> None:
    for name in ("subdir", "cousinparent/cousin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "subdir" / "link").symlink_to("../cousinparent/cousin")
    (tmp_path / "subdir" / "link2").symlink_to("/../cousinparent/cousin")
    (tmp_path / "subdir" / "link3").symlink_to("/../../../../../../../../../../cousinparent/cousin")
    for _, unsafe, expected in _cases("TestNonLexical"):
        assert _opened(str(tmp_path), unsafe) == _join(expected, str(tmp_path))


SYMLINKS = {
    "etc": "somepath",
    "etclink": "etc",
    "passwd": "somepath/passwd",
    "ABSOLUTE": "/../../../../../../../../../../../../../../../etc/passwd",
    "relative": "../../../../../../../../../etc/shadow/x",
    "self": ".",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("etc", "somepath"),
        ("etclink/x", "somepath/x"),
        ("passwd", "somepath/passwd"),
        ("ABSOLUTE", "somepath/passwd"),
        ("relative", "somepath/shadow/x"),
        ("self/self/../../etc", "somepath"),
        ("/", ""),
        ("", ""),
        ("../../..", ""),
    ],
)
def test_symlinks_stay_inside_and_agree_with_the_kernel(tmp_path: Path, path: str, expected: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name, target in SYMLINKS.items():
        (root / name).symlink_to(target)
    assert _opened(str(root), path) == os.path.normpath(f"{root}/{expected}")
    root_fd = os.open(root, os.O_RDONLY)
    fd = open_in_root(root_fd, path, os.O_PATH)
    assert os.readlink(f"/proc/self/fd/{fd}") == os.path.normpath(f"{root}/{expected}")
    os.close(fd)
    os.close(root_fd)
    assert os.listdir(tmp_path) == ["root"]


@pytest.mark.parametrize("path", ["loop", "loop/x", "a/../loop2/y", "self-and/loop"])
def test_loops_are_eloop(tmp_path: Path, path: str) -> None:
    (tmp_path / "loop").symlink_to("loop2")
    (tmp_path / "loop2").symlink_to("/loop")
    (tmp_path / "self-and").symlink_to(".")
    with pytest.raises(OSError) as caught:
        _opened(str(tmp_path), path)
    assert caught.value.errno == errno.ELOOP


@pytest.mark.requires("vectors")
def test_vectors_of_files_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "subdir").mkdir()
    (tmp_path / "notdir").write_text("x")
    (tmp_path / "subdir" / "link").symlink_to("/notdir/child")
    for case in _cases("TestEnotdir"):
        with pytest.raises(NotADirectoryError):
            _opened(str(tmp_path), case["unsafe"])


def test_directories_get_the_mode_asked_for_and_twice_is_safe(tmp_path: Path) -> None:
    root_fd = os.open(tmp_path, os.O_RDONLY)
    for _ in range(2):
        os.close(mkdir_in_root(root_fd, "a/b", 0o700))
    os.close(root_fd)
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
