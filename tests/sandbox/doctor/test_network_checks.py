"""What is said of bridge networks and IPv6, where the machine gives them and where not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from net import nft
from sandbox.doctor import network
from sandbox.doctor.check import this_machine
from sandbox.doctor.checkup import is_fit, run_check
from sandbox.errors import SandboxError
from sandbox.paths import find_paths

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Home


@pytest.mark.requires("userns", "subids")
def test_bridge_is_made(home: Home) -> None:
    check = run_check("bridge", this_machine(find_paths(home.env), home.env))
    assert (check.status, check.detail) == ("ok", "bridge networks can be made, by libnftables.so.1")


def test_machine_without_nftables_is_fit(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nft, "_load_library", lambda: None)
    monkeypatch.setattr(nft, "find_program", lambda _name: None)
    check = run_check("bridge", this_machine(find_paths(home.env), home.env))
    assert (check.status, check.detail) == ("warning", "bridge networks need nftables")
    assert "nftables" in check.mend
    assert is_fit([check])


def test_kernel_that_refuses_is_quoted(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_arguments: object) -> None:
        raise SandboxError("cannot make the bridge br-doctor", cause="Unknown device type (Operation not supported)")

    monkeypatch.setattr(network, "call_in_user_namespace", refused)
    check = run_check("bridge", this_machine(find_paths(home.env), home.env))
    assert (check.status, check.cause) == ("warning", "Unknown device type (Operation not supported)")


@pytest.mark.parametrize(
    ("value", "status", "detail"),
    [
        (None, "warning", "networks cannot have IPv6"),
        ("0", "ok", "networks can have IPv6"),
        ("1", "ok", "networks can have IPv6; the host itself does not use it"),
    ],
)
def test_ipv6_of_the_host(home: Home, tmp_path: Path, value: str | None, status: str, detail: str) -> None:
    if value is not None:
        directory = tmp_path / "sys/net/ipv6/conf/all"
        directory.mkdir(parents=True)
        (directory / "disable_ipv6").write_text(f"{value}\n")
    machine = this_machine(find_paths(home.env), home.env)._replace(proc=str(tmp_path))
    check = run_check("ipv6", machine)
    assert (check.status, check.detail) == (status, detail)
