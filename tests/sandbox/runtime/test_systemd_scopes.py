"""The user's systemd manager, where it is not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.runtime.systemd_scopes import attach_to_scope, cgroup_of, find_bus

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_bus_is_taken_from_the_environment_only_where_it_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.runtime.systemd_scopes._BUSCTL", "/bin/sh")
    (tmp_path / "bus").touch()
    assert find_bus({"XDG_RUNTIME_DIR": str(tmp_path)}) == str(tmp_path)
    real_uid = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: real_uid + 1)
    assert find_bus({"XDG_RUNTIME_DIR": str(tmp_path)}) == ""
    monkeypatch.setattr("sandbox.runtime.systemd_scopes._BUSCTL", str(tmp_path / "none"))
    monkeypatch.setattr(os, "getuid", lambda: real_uid)
    assert find_bus({"XDG_RUNTIME_DIR": str(tmp_path)}) == ""


def test_only_a_scope_is_asked_of_systemd() -> None:
    assert not attach_to_scope("/sys/fs/cgroup/ci/job/container", os.getpid(), {})


def test_own_cgroup_has_no_slash_at_its_end() -> None:
    assert not cgroup_of().endswith("/")
