"""What is said of bridge networks and IPv6, where the machine gives them and where not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from net import nft
from net.subnets import Busy
from sandbox.doctor import network, subnets
from sandbox.doctor.check import this_machine
from sandbox.doctor.checkup import is_fit, run_check
from sandbox.errors import SandboxError
from sandbox.network.store import find_network, set_subnet
from sandbox.paths import find_paths
from sandbox.state import open_state
from tests.sandbox.network.conftest import a_network

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Home


def test_routes_that_a_network_hides(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = this_machine(find_paths(home.env), home.env)
    assert run_check("subnets", machine).detail == "there are no networks"
    with open_state(machine.paths) as connection:
        a_network(connection, "web", subnet4="172.30.0.0/16")
        a_network(connection, "db", subnet4="172.29.0.0/16", subnet6="fd00:9::/64")
    monkeypatch.setattr(subnets, "read_busy", lambda: Busy((("10.0.0.0/8", "tun0"),)))
    assert run_check("subnets", machine).status == "ok"
    monkeypatch.setattr(subnets, "read_busy", lambda: Busy((("172.30.4.0/24", "tun0"), ("fd00::/8", "wg0"))))
    check = run_check("subnets", machine)
    assert check.status == "warning"
    assert check.detail == "containers on db do not reach the host's route to fd00::/8 by wg0 (and 1 more)"
    assert check.cause == "fd00:9::/64 is the network's own to them"
    assert check.mend == "sandbox network rm db, and create it anew"
    with open_state(machine.paths) as connection:
        set_subnet(connection, find_network(connection, "bridge")._replace(subnet4="10.1.0.0/16", gateway4="10.1.0.1"))
    monkeypatch.setattr(subnets, "read_busy", lambda: Busy((("10.0.0.0/8", "tun0"),)))
    assert run_check("subnets", machine).mend == "sandbox network create NAME, and run them there"


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
