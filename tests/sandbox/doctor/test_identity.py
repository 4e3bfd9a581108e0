"""Refused user namespaces, and what is said of each kind of refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.doctor import identity
from sandbox.doctor.check import this_machine
from sandbox.doctor.identity import apparmor_profile, check_id_map, check_subordinate_ids, check_user_namespaces
from sandbox.errors import HostError
from sandbox.paths import find_paths

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.doctor.check import Machine
    from tests.command import Home


@pytest.fixture
def machine(home: Home, tmp_path: Path) -> Machine:
    """This machine, but for what /proc/sys says."""
    (tmp_path / "sys/user").mkdir(parents=True)
    (tmp_path / "sys/kernel").mkdir()
    return this_machine(find_paths(home.env), home.env)._replace(proc=str(tmp_path))


def _refuse(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refused(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(identity, "call_in_user_namespace", refused)


def test_apparmor_is_mended_by_a_profile_and_never_by_its_switch(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sys/kernel/apparmor_restrict_unprivileged_userns").write_text("1\n")
    _refuse(monkeypatch, HostError("mount refused", mend="sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"))
    check = check_user_namespaces(machine)
    assert (check.status, check.needs_admin) == ("failure", True)
    assert "apparmor_parser" in check.mend
    assert "sysctl" not in check.mend


def test_other_refusals_keep_their_cause(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    _refuse(monkeypatch, HostError("x", cause="max_user_namespaces is 0", mend="sudo sysctl y"))
    check = check_user_namespaces(machine)
    assert (check.status, check.cause, check.needs_admin) == ("failure", "max_user_namespaces is 0", True)
    _refuse(monkeypatch, OSError(11, "Resource temporarily unavailable"))
    assert check_user_namespaces(machine).cause == "Resource temporarily unavailable"


@pytest.mark.requires("userns")
@pytest.mark.parametrize(("limit", "status"), [("10", "warning"), ("15000", "ok"), ("nonsense", "ok")])
def test_few_namespaces_are_a_warning(machine: Machine, tmp_path: Path, limit: str, status: str) -> None:
    (tmp_path / "sys/user/max_user_namespaces").write_text(limit)
    assert check_user_namespaces(machine).status == status


def test_missing_ids_and_refused_maps_give_the_runtimes_words(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> None:
        raise HostError("user x has no subordinate ids", cause="c", mend="sudo usermod …")

    monkeypatch.setattr(identity, "find_id_map", none)
    for check in (check_subordinate_ids(machine), check_id_map(machine)):
        assert (check.status, check.detail, check.needs_admin) == ("failure", "user x has no subordinate ids", True)


def test_profile_names_the_real_file(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to("/usr/bin/env")
    assert "/usr/bin/env" in apparmor_profile(str(tmp_path / "python"))
