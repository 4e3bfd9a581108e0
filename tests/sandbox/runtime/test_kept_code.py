"""The file with this program's code, by which a process goes on in a new interpreter."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from sandbox.runtime.kept_code import KeptCode, SourcesChangedError, words_to_go_on

if TYPE_CHECKING:
    from pathlib import Path


def test_a_new_interpreter_has_the_modules_of_the_file(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "of another version").write_text("")
    code = KeptCode(str(kept), time.time_ns())
    assert code.open() == -1
    code.make()
    fd = code.open()
    assert os.listdir(kept) == [os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))]
    made = tmp_path / "made"
    # without a path on which they could be found, and without the file's name
    os.unlink(kept / os.listdir(kept)[0])
    words = words_to_go_on(fd, "storage.private_directories", "make_private_directory", str(made))
    subprocess.run(words, pass_fds=(fd,), cwd="/", env={}, check=True, timeout=120)
    os.close(fd)
    assert made.stat().st_mode & 0o777 == 0o700


def test_sources_that_changed_after_they_were_loaded_are_not_kept(tmp_path: Path) -> None:
    code = KeptCode(str(tmp_path), 0)
    for act in (code.open, code.make):
        with pytest.raises(SourcesChangedError):
            act()
    assert os.listdir(tmp_path) == []
