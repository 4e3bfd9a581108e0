"""System calls that fail say so."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from storage.syscalls import RENAME_NOREPLACE, renameat2

if TYPE_CHECKING:
    from pathlib import Path


def test_renameat2_raises_what_the_kernel_answers(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("b")
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(FileExistsError):
            renameat2(fd, "a", fd, "b", RENAME_NOREPLACE)
        with pytest.raises(OSError) as caught:
            renameat2(fd, "a", fd, "c", 1 << 30)
        assert caught.value.errno == errno.EINVAL
    finally:
        os.close(fd)
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]
