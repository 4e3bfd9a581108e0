"""The checks: on this machine for real, and what becomes of one that fails, hangs or breaks."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
from typing import TYPE_CHECKING

import pytest

from sandbox.cli.main import main
from sandbox.doctor import checkup, storage_place
from sandbox.doctor.check import Check, passed, this_machine, wants_admin
from sandbox.doctor.checkup import EXAMINATIONS, Examination, is_fit, run_check, run_checks
from sandbox.doctor.explanations import EXPLANATIONS
from sandbox.errors import SandboxError
from sandbox.paths import find_paths
from sandbox.runtime.mount_table import MountInfo
from storage.overlay.fuse.serving.mounting import device_error
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.doctor.check import Machine
    from tests.command import Home


@pytest.fixture
def machine(home: Home) -> Machine:
    return this_machine(find_paths(home.env), home.env)


def _run(home: Home, *words: str) -> tuple[int, str, str]:
    stdout, stderr = io.StringIO(), io.StringIO()
    status = main(words, home.env, "/", stdout, stderr)
    return status, stdout.getvalue(), stderr.getvalue()


@pytest.mark.requires(*CONTAINER, "tap", "slirp4netns")
def test_machine_that_runs_containers_is_fit(machine: Machine) -> None:
    checks = list(run_checks(machine))
    assert [check.name for check in checks] == list(EXAMINATIONS)
    assert [check for check in checks if check.status == "failure"] == []
    assert is_fit(checks)


@pytest.mark.requires("fuse")
def test_fuse_is_found_where_it_mounts(machine: Machine) -> None:
    assert run_check("fuse", machine).status == "ok"


@pytest.mark.parametrize(
    ("code", "misc", "cause", "mend"),
    [
        ("ENOENT", "200 tun\n", "the kernel module fuse is not loaded", "sudo modprobe fuse"),
        (
            "ENOENT",
            "229 fuse\n",
            "the kernel has FUSE, but the device node was not made",
            "sudo mknod -m 0666 /dev/fuse",
        ),
        ("ENODEV", "", "the kernel module fuse is not loaded", "sudo modprobe fuse"),
        ("EPERM", "229 fuse\n", "was not given the device", "--device /dev/fuse"),
        ("EACCES", "229 fuse\n", "Permission denied", "sudo chmod 0666 /dev/fuse"),
    ],
)
def test_a_missing_node_of_fuse_is_told_from_a_missing_module(
    tmp_path: Path, code: str, misc: str, cause: str, mend: str
) -> None:
    (tmp_path / "misc").write_text(misc)
    failure = device_error(OSError(getattr(errno, code), ""), str(tmp_path))
    assert cause in failure.cause
    assert mend in failure.mend


def test_probes_leave_nothing_in_the_data_root(machine: Machine) -> None:
    list(run_checks(machine))
    assert os.listdir(machine.paths.data_root) == []
    assert os.listdir(machine.paths.runtime_root) == []


@pytest.mark.parametrize("name", EXAMINATIONS)
def test_every_check_is_explained(name: str) -> None:
    assert EXPLANATIONS[name].endswith(".")


def test_what_is_not_ok_says_why(machine: Machine) -> None:
    for check in run_checks(machine):
        assert check.detail
        assert check.status == "ok" or check.cause or check.mend, check
        assert check.needs_admin == wants_admin(check.mend), check


def _failing(_machine: Machine) -> Check:
    return Check("tun", "failure", "there is no /dev/net/tun", "not loaded", "sudo modprobe tun", needs_admin=True)


def _hanging(_machine: Machine) -> Check:
    # nothing is open meanwhile: the alarm may come between any two instructions
    signal.pause()
    raise AssertionError


def _breaking(_machine: Machine) -> Check:
    raise ZeroDivisionError("division by zero")


def test_hanging_check_ends_and_says_so(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXAMINATIONS, "tun", Examination(_hanging))
    monkeypatch.setattr(checkup, "_SECONDS_EACH", 0.01)
    assert run_check("tun", machine).detail == "no answer"


def test_breaking_check_hides_no_other(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXAMINATIONS, "tun", Examination(_breaking))
    broken, other = run_checks(machine, ("tun", "ports"))
    assert broken.status == "failure"
    assert "test_checkup.py, line" in broken.cause
    assert "division by zero" in broken.cause
    assert "ZeroDivisionError" not in broken.cause
    assert other.status == "ok"


def test_what_a_failure_makes_senseless_is_not_tried(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXAMINATIONS, "subids", Examination(_failing))
    first, *blocked = run_checks(machine, ("subids", "idmap", "overlay"))
    assert first.status == "failure"
    # the root of it is named, not the step between
    assert {(check.status, check.detail, check.cause) for check in blocked} == {
        ("warning", "not tried", "subids failed")
    }


def test_network_file_system(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_place, "find_mount", lambda _path: MountInfo("/home", "nfs4", frozenset({"rw"})))
    check = run_check("local-disk", machine)
    assert (check.status, "XDG_DATA_HOME" in check.mend) == ("warning", True)


@pytest.mark.parametrize(("options", "status"), [("noexec", "warning"), ("nosuid", "warning"), ("ro", "failure")])
def test_mount_options(machine: Machine, monkeypatch: pytest.MonkeyPatch, options: str, status: str) -> None:
    monkeypatch.setattr(storage_place, "find_mount", lambda _path: MountInfo("/home", "ext4", frozenset({options})))
    assert run_check("mount-options", machine).status == status


def test_full_disk(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage_place, "_LITTLE_SPACE_BYTES", 1 << 70)
    assert run_check("space", machine).status == "warning"
    monkeypatch.setattr(storage_place, "_NO_SPACE_BYTES", 1 << 70)
    assert run_check("space", machine).status == "failure"


def test_files_that_cannot_be_owned(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object) -> None:
        raise SandboxError("Operation not permitted")

    monkeypatch.setattr(storage_place, "call_in_user_namespace", refused)
    check = run_check("ownership", machine)
    assert check.status == "failure"
    assert "Operation not permitted (on " in check.cause


def test_command_prints_a_line_for_each_check(home: Home) -> None:
    _, stdout, stderr = _run(home, "doctor")
    assert stderr == ""
    assert all(any(line.split()[1:2] == [name] for line in stdout.splitlines()) for name in EXAMINATIONS)


def test_command_prints_json(home: Home) -> None:
    status, stdout, _ = _run(home, "doctor", "--format", "json")
    document = json.loads(stdout)
    assert document["fit"] == (status == 0)
    assert set(document["checks"][0]) == {"name", "status", "detail", "cause", "mend", "needs_admin", "code"}


def test_command_fails_where_the_main_job_cannot_run(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXAMINATIONS, "tun", Examination(_failing))
    status, stdout, _ = _run(home, "system", "doctor", "tun")
    assert status == 1
    assert "mend: sudo modprobe tun   (needs an administrator)" in stdout
    assert EXPLANATIONS["tun"].split(".")[0] in stdout


def test_command_explains_a_check(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXAMINATIONS, "ports", Examination(lambda _machine: passed("ports", "all of them")))
    assert _run(home, "doctor", "ports")[0] == 0


@pytest.mark.parametrize("words", [("doctor", "nonsense"), ("doctor", "--format", "yaml"), ("doctor", "--nonsense")])
def test_command_with_nonsense(home: Home, words: tuple[str, ...]) -> None:
    status, stdout, stderr = _run(home, *words)
    assert (status, stdout) == (125, "")
    assert stderr


def test_apparmor_profile_is_printed_for_the_interpreter(home: Home) -> None:
    status, stdout, _ = _run(home, "doctor", "--apparmor-profile")
    assert status == 0
    assert "userns," in stdout
    assert 'profile sandbox "/' in stdout
