"""Profiles: Docker's format, conditions, the cache."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.errors import UsageError
from sandbox.runtime import seccomp
from sandbox.runtime.capabilities import CAPABILITIES, DEFAULT_CAPABILITIES
from sandbox.runtime.seccomp import DEFAULT_PROFILE, find_program
from sandbox.runtime.seccomp_profile import Comparison, Host, Rule, parse_compact, parse_docker

if TYPE_CHECKING:
    from pathlib import Path

HOST = Host("x86_64", (6, 1), frozenset(DEFAULT_CAPABILITIES))
ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026


def _default(host: Host) -> list[Rule]:
    with open(DEFAULT_PROFILE) as file:
        return list(parse_compact(json.load(file), host).rules)


def _names(host: Host, action: int = ALLOW) -> set[str]:
    return {name for rule in _default(host) if rule.action == action for name in rule.names}


def test_default_profile_follows_the_capabilities() -> None:
    assert {"read", "execve", "chroot", "ptrace"} <= _names(HOST)
    assert not {"mount", "bpf", "keyctl", "unshare", "reboot", "io_uring_setup"} & _names(HOST)
    assert {"mount", "unshare", "clone3"} <= _names(HOST._replace(capabilities=frozenset({"CAP_SYS_ADMIN"})))
    assert _names(HOST, ENOSYS) == {"clone3"}


def test_default_profile_follows_machine_and_kernel() -> None:
    assert "arch_prctl" in _names(HOST)
    assert "arch_prctl" not in _names(HOST._replace(machine="aarch64"))
    assert "ptrace" not in _names(HOST._replace(kernel=(4, 4)))


def _docker(**changes: Any) -> dict[str, Any]:
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
            {
                "name": "personality",
                "action": "SCMP_ACT_ALLOW",
                "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}],
            },
            {"names": ["chmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "includes": {"minKernel": "9.1"}},
        ],
        **changes,
    }


def test_docker_format() -> None:
    profile = parse_docker(_docker(), HOST, "file")
    assert profile.default_action == EPERM
    assert profile.architectures == ("x86_64", "x86")
    assert profile.rules == (
        Rule(("read",), ALLOW),
        Rule(("personality",), ALLOW, (Comparison(0, 4, 8, 0),)),
    )


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"defaultAction": 5},
        _docker(defaultAction="SCMP_ACT_DANCE"),
        _docker(syscalls=[{"action": "SCMP_ACT_ALLOW"}]),
        _docker(syscalls=[{"names": ["x"], "action": "SCMP_ACT_ALLOW", "args": [{"index": "a"}]}]),
        _docker(syscalls=5),
    ],
)
def test_bad_profile_is_named(document: Any) -> None:
    with pytest.raises(UsageError, match="the-file"):
        parse_docker(document, HOST, "the-file")


@pytest.mark.requires("seccomp")
def test_compiled_once_and_only_trusted_when_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = os.fspath(tmp_path / "cache")
    program = find_program("", DEFAULT_CAPABILITIES, cache)
    assert program
    assert len(program) % 8 == 0
    (path,) = (tmp_path / "cache").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    compiled: list[object] = []

    def compile_profile(profile: object) -> bytes:
        compiled.append(profile)
        return b"8 bytes."

    monkeypatch.setattr(seccomp, "compile_profile", compile_profile)
    assert find_program("", DEFAULT_CAPABILITIES, cache) == program
    assert not compiled
    path.chmod(0o666)
    assert find_program("", DEFAULT_CAPABILITIES, cache) == b"8 bytes."
    assert find_program("", CAPABILITIES, cache) == b"8 bytes."
    assert len(compiled) == 2


@pytest.mark.requires("seccomp")
def test_profile_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(_docker()))
    assert find_program(os.fspath(path), DEFAULT_CAPABILITIES, os.fspath(tmp_path / "cache"))
    path.write_text("{")
    with pytest.raises(UsageError, match="not JSON"):
        find_program(os.fspath(path), DEFAULT_CAPABILITIES, os.fspath(tmp_path / "cache"))
    with pytest.raises(UsageError, match="cannot read"):
        find_program("/nowhere", DEFAULT_CAPABILITIES, os.fspath(tmp_path / "cache"))


def test_unconfined_is_none(tmp_path: Path) -> None:
    assert find_program("unconfined", DEFAULT_CAPABILITIES, os.fspath(tmp_path)) is None
