"""How a person gets a program that is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from net import programs

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("lists", "command"),
    [
        ((), "sudo apt-get update && sudo apt-get install -y git"),
        (("lock", "partial"), "sudo apt-get update && sudo apt-get install -y git"),
        (("lock", "deb.debian.org_debian_dists_x_main_binary-amd64_Packages"), "sudo apt-get install -y git"),
    ],
)
def test_apt_is_told_to_look_where_it_knows_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lists: tuple[str, ...], command: str
) -> None:
    for name in lists:
        (tmp_path / name).touch()
    monkeypatch.setattr(programs, "_APT_LISTS", str(tmp_path))
    monkeypatch.setattr(programs, "_INSTALLERS", ((str(tmp_path), "apt-get install -y"),))
    assert programs.install_command("git") == command
