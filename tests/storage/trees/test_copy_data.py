"""The data of files, copied whichever way the two file systems can."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from storage.trees.copy_tree import DataCopy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SIZES = (0, 1, 4095, 4096, 4097, 1 << 20, (1 << 20) + 1, 3_000_000)


@pytest.fixture(params=["as it can", "no sharing", "by reading and writing"])
def asked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What the kernel is asked for, by a file system of each kind."""
    asked: list[str] = []
    copy_file_range = os.copy_file_range

    def share(*_arguments: object) -> int:
        asked.append("share")
        raise OSError(errno.EOPNOTSUPP, "")

    def copy_range(source_fd: int, target_fd: int, count: int, offset: int, target_offset: int) -> int:
        asked.append("range")
        if request.param == "by reading and writing":
            raise OSError(errno.EXDEV, "")
        return copy_file_range(source_fd, target_fd, count, offset, target_offset)

    if request.param != "as it can":
        monkeypatch.setattr(fcntl, "ioctl", share)
        monkeypatch.setattr(os, "copy_file_range", copy_range)
    yield asked
    if request.param != "as it can":
        assert asked.count("share") == 1
    if request.param == "by reading and writing":
        assert asked.count("range") == 1


def _copied(copying: DataCopy, source: Path, target: Path) -> os.stat_result:
    with open(source, "rb") as source_file, open(target, "xb") as target_file:
        copying.copy(source_file.fileno(), target_file.fileno())
    return target.stat()


@pytest.mark.usefixtures("asked")
def test_every_byte_of_files_of_any_size(tmp_path: Path) -> None:
    copying = DataCopy()
    for size in _SIZES:
        (tmp_path / f"source-{size}").write_bytes(os.urandom(size))
        assert _copied(copying, tmp_path / f"source-{size}", tmp_path / f"target-{size}").st_size == size
        assert (tmp_path / f"target-{size}").read_bytes() == (tmp_path / f"source-{size}").read_bytes()


@pytest.mark.usefixtures("asked")
def test_holes_stay_holes(tmp_path: Path) -> None:
    copying = DataCopy()
    # the first teaches what cannot be done here
    (tmp_path / "first").write_bytes(b"first")
    _copied(copying, tmp_path / "first", tmp_path / "first-copy")
    for size in (400_000, 40 << 20):
        source = tmp_path / f"sparse-{size}"
        with open(source, "wb") as file:
            file.seek(size // 2)
            file.write(b"in the middle")
            file.truncate(size)
        copied = _copied(copying, source, tmp_path / f"copy-{size}")
        assert copied.st_size == size
        assert copied.st_blocks <= source.stat().st_blocks + 8
        assert (tmp_path / f"copy-{size}").read_bytes() == source.read_bytes()


def test_a_file_that_shrinks_meanwhile_is_filled_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copying = DataCopy()
    (tmp_path / "source").write_bytes(b"0123456789")

    def refuse(*_arguments: object) -> int:
        raise OSError(errno.EXDEV, "")

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    monkeypatch.setattr(os, "copy_file_range", refuse)
    _copied(copying, tmp_path / "source", tmp_path / "first")
    plain_pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, count, offset: plain_pread(fd, min(count, max(4 - offset, 0)), offset))
    _copied(copying, tmp_path / "source", tmp_path / "second")
    assert (tmp_path / "second").read_bytes() == b"0123" + bytes(6)
