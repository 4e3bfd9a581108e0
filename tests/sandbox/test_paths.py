"""Where the directories are, and what is said where one cannot be made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.errors import HostError
from sandbox.paths import find_paths

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("variable", ["XDG_DATA_HOME", "XDG_RUNTIME_DIR"])
def test_a_directory_that_cannot_be_made_names_its_own_variable(tmp_path: Path, variable: str) -> None:
    env = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sandbox").write_text("")
    with pytest.raises(HostError) as raised:
        find_paths({**env, variable: str(blocked)})
    assert raised.value.message == f"cannot make the directory {blocked}/sandbox"
    assert raised.value.mend == f"export {variable}=DIRECTORY, one that you can write"


def test_the_cause_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(HostError) as raised:
        find_paths({"HOME": str(tmp_path), "XDG_DATA_HOME": "/proc/x"})
    assert raised.value.cause == "No such file or directory: /proc/x"
