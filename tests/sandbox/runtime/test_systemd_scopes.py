"""The user's systemd manager, where it is not."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sandbox.errors import HostError
from sandbox.runtime import systemd_scopes
from sandbox.runtime.systemd_scopes import attach_to_scope, cgroup_of, find_bus, leave_session

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize(
    ("cgroup", "lingers", "asked"),
    [
        ("/user.slice/user-1000.slice/session-c2.scope", True, 1),
        ("/user.slice/user-1000.slice/session-c2.scope", False, 0),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/sandbox-autostart.service", True, 0),
        ("", True, 0),
    ],
)
def test_only_a_log_in_session_is_left_and_only_where_its_user_lingers(
    cgroup: str, lingers: bool, asked: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    units: list[str] = []

    def refuse(unit: str, pid: int, _env: object) -> str:
        assert pid == os.getpid()
        units.append(unit)
        raise HostError("the manager refuses")

    monkeypatch.setattr(systemd_scopes, "is_booted", lambda: True)
    monkeypatch.setattr(systemd_scopes, "cgroup_of", lambda: cgroup)
    monkeypatch.setattr(systemd_scopes, "lingers", lambda: lingers)
    monkeypatch.setattr(systemd_scopes, "find_bus", lambda _env: "/run/user/1000")
    monkeypatch.setattr(systemd_scopes, "start_scope", refuse)
    leave_session("services", {})
    assert units == [f"sandbox-services-{os.getpid()}.scope"] * asked
