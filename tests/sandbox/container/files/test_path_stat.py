"""A file's mode as Go has it, which is what Docker's clients read."""

from __future__ import annotations

import stat

import pytest

from sandbox.container.files.path_stat import PathStat


@pytest.mark.parametrize(
    ("mode", "go_mode"),
    [
        (stat.S_IFREG | 0o644, 0o644),
        (stat.S_IFDIR | 0o755, 1 << 31 | 0o755),
        (stat.S_IFDIR | 0o1777, 1 << 31 | 1 << 20 | 0o777),
        (stat.S_IFLNK | 0o777, 1 << 27 | 0o777),
        (stat.S_IFREG | 0o6755, 1 << 23 | 1 << 22 | 0o755),
        (stat.S_IFCHR | 0o666, 1 << 26 | 1 << 21 | 0o666),
        (stat.S_IFBLK | 0o660, 1 << 26 | 0o660),
        (stat.S_IFIFO | 0o600, 1 << 25 | 0o600),
        (stat.S_IFSOCK | 0o700, 1 << 24 | 0o700),
    ],
)
def test_modes_are_go_s(mode: int, go_mode: int) -> None:
    assert PathStat("x", 1, mode, 0).go_mode == go_mode


def test_the_document_is_docker_s() -> None:
    assert PathStat("link", 4, stat.S_IFLNK | 0o777, 1_700_000_000_500_000_000, "/target").document() == {
        "name": "link",
        "size": 4,
        "mode": 134218239,
        "mtime": "2023-11-14T22:13:20.5Z",
        "linkTarget": "/target",
    }


def test_a_time_of_nought_is_a_time() -> None:
    assert PathStat("x", 0, 0, 0).document()["mtime"] == "1970-01-01T00:00:00Z"
