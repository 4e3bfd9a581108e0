"""A layer's archive made of an upper directory."""

from __future__ import annotations

import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest

from storage.digests import digest_of
from storage.errors import StorageError
from storage.tar.diff import write_layer
from storage.whiteouts import make_opaque

if TYPE_CHECKING:
    from pathlib import Path


def _write(tree: Path, archive: Path) -> tuple[str, bytes]:
    tree_fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with open(archive, "w+b") as file:
            diff = write_layer(tree_fd, file.fileno())
            return diff.diff_id, os.pread(file.fileno(), 1 << 20, 0)
    finally:
        os.close(tree_fd)


def test_an_opaque_directory_is_marked_before_its_content(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "dir").mkdir(parents=True)
    (tree / "dir" / ".a").write_text("x")
    fd = os.open(tree / "dir", os.O_RDONLY)
    make_opaque(fd)
    os.close(fd)
    diff_id, data = _write(tree, tmp_path / "layer.tar")
    assert diff_id == digest_of(data)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        assert archive.getnames() == ["dir", "dir/.wh..wh..opq", "dir/.a"]


def test_the_same_tree_gives_the_same_bytes(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("b", "a", "long" * 50):
        (tree / name).write_text(name)
        os.utime(tree / name, ns=(1, 1_700_000_000_123_456_789))
    assert _write(tree, tmp_path / "1") == _write(tree, tmp_path / "2")


def test_a_name_that_would_be_a_whiteout_is_refused(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / ".wh.victim").write_text("")
    with pytest.raises(StorageError, match="cannot keep"):
        _write(tree, tmp_path / "layer.tar")
