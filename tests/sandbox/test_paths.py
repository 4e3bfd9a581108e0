"""Where the directories are, and what is said where one cannot be made."""

from __future__ import annotations

import os
import pwd
from typing import TYPE_CHECKING

import pytest

from sandbox.errors import HostError
from sandbox.home import expand_home, find_home
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


_ODD_HOMES = [{}, {"HOME": ""}, {"HOME": "relative"}, {"HOME": "./x"}, {"HOME": "~"}]


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The user database: "home" is this user's directory, and no entry is there without it."""
    entry = {"home": "/home/me"}

    def getpwuid(uid: int) -> pwd.struct_passwd:
        if uid != os.getuid() or "home" not in entry:
            raise KeyError(uid)
        return pwd.struct_passwd(("me", "x", uid, uid, "", entry["home"], "/bin/sh"))

    monkeypatch.setattr(pwd, "getpwuid", getpwuid)
    return entry


@pytest.mark.parametrize("env", _ODD_HOMES, ids=str)
def test_the_home_is_that_of_the_user_database(env: dict[str, str], database: dict[str, str], tmp_path: Path) -> None:
    assert find_home(env) == "/home/me"
    assert expand_home("~/ca.pem", env) == "/home/me/ca.pem"
    database["home"] = str(tmp_path)
    paths = find_paths({**env, "XDG_RUNTIME_DIR": str(tmp_path)})
    assert paths.data_root == f"{tmp_path}/.local/share/sandbox"
    assert paths.config_root == f"{tmp_path}/.config/sandbox"


@pytest.mark.parametrize("env", _ODD_HOMES, ids=str)
@pytest.mark.parametrize("entry", [{}, {"home": ""}, {"home": "nowhere"}], ids=str)
def test_a_home_that_nobody_knows(
    env: dict[str, str], entry: dict[str, str], database: dict[str, str], tmp_path: Path
) -> None:
    database.clear()
    database.update(entry)
    assert find_home(env) == ""
    with pytest.raises(HostError) as raised:
        find_paths({**env, "XDG_RUNTIME_DIR": str(tmp_path)})
    assert raised.value.message == "there is no home directory to keep images and containers in"
    assert f"user id {os.getuid()}" in raised.value.cause
    # what does not need one goes on
    paths = find_paths({**env, "XDG_DATA_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)})
    assert paths.data_root == f"{tmp_path}/sandbox"


@pytest.mark.parametrize("home", ["/", "//"])
def test_a_home_that_is_the_root(home: str) -> None:
    assert os.path.normpath(f"{find_home({'HOME': home})}/.docker") == "/.docker"


@pytest.mark.parametrize("value", ["", "relative", "./x", "~/x"])
def test_a_relative_directory_is_ignored(value: str, tmp_path: Path) -> None:
    names = ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR")
    paths = find_paths({"HOME": str(tmp_path), **dict.fromkeys(names, value)})
    assert paths.data_root == f"{tmp_path}/.local/share/sandbox"
    assert paths.config_root == f"{tmp_path}/.config/sandbox"
    assert paths.runtime_root == f"/tmp/sandbox-{os.getuid()}"
