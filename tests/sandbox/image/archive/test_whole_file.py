"""A file that cannot be written, and what is said to mend that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.errors import SandboxError
from sandbox.image.archive.whole_file import written_whole

if TYPE_CHECKING:
    from pathlib import Path


def test_each_reason_has_its_mend(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    for path, mend in (
        (f"{tmp_path}/a b/x", f"mkdir -p '{tmp_path}/a b'"),
        (f"{tmp_path}/shut/x", f"ls -ld {tmp_path}/shut"),
        ("/dev/full", "df -h /dev"),
    ):
        with pytest.raises(SandboxError) as raised, written_whole(path) as file:
            file.write(b"x")
        assert raised.value.mend == mend
