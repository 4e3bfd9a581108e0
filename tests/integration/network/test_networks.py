"""Networks by their commands: containers put on them and taken off while they run, and what is told of it."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.container.conftest import monitor_pid
from tests.integration.network.test_bridges import IDLE, address, reaches, start
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox"), pytest.mark.slow]


def shown(sandbox: Sandbox, name: str) -> dict[str, Any]:
    """Docker's NetworkSettings.Networks of a container."""
    networks: dict[str, Any] = json.loads(
        sandbox.run("inspect", "-f", "{{json .NetworkSettings.Networks}}", name).stdout
    )
    return networks


def guests(sandbox: Sandbox, network: str) -> dict[str, str]:
    """Who is on the network, and at which address."""
    (document,) = json.loads(sandbox.run("network", "inspect", network).stdout)
    return {guest["Name"]: guest["IPv4Address"] for guest in document["Containers"].values()}


def events(sandbox: Sandbox) -> list[tuple[str, str]]:
    """What has happened to containers on networks."""
    told = sandbox.run("events", "--since", "1h", "--until", "0s", "--filter", "type=network", "--format", "json").lines
    found = [json.loads(line) for line in told]
    return [(one["Action"], one["Actor"]["Attributes"]["name"]) for one in found if "connect" in one["Action"]]


def test_a_container_comes_and_goes_while_it_runs(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("network", "create", "--subnet", "10.61.0.0/24", "front")
    sandbox.run("network", "create", "--subnet", "10.62.0.0/24", "back")
    start(sandbox, "web", busybox, "--network", "front", "--ip", "10.61.0.7", "--network-alias", "www")
    start(sandbox, "db", busybox, "--network", "back")
    assert reaches(sandbox, "web", "www")
    assert not reaches(sandbox, "web", "db")
    sandbox.run("network", "connect", "--alias", "site", "--ip", "10.62.0.9", "back", "web")
    assert address(sandbox, "web", "eth1") == "10.62.0.9"
    assert reaches(sandbox, "web", "db")
    assert reaches(sandbox, "db", "site")
    linked = ("run", "--rm", "--network", "back", "--link", "web:linked", busybox)
    sandbox.run(*linked, "busybox", "ping", "-c1", "-W1", "linked")
    assert guests(sandbox, "back") == {"web": "10.62.0.9/24", "db": "10.62.0.2/24"}
    networks = shown(sandbox, "web")
    assert {name: (one["IPAddress"], one["Aliases"], one["IPAMConfig"]) for name, one in networks.items()} == {
        "front": ("10.61.0.7", ["www"], {"IPv4Address": "10.61.0.7"}),
        "back": ("10.62.0.9", ["site"], {"IPv4Address": "10.62.0.9"}),
    }
    assert sandbox.run("ps", "--filter", "network=back", "--format", "{{.Names}} {{.Networks}}").lines == [
        "db back", "web back,front",
    ]  # fmt: skip
    for words, refusal in (
        (("connect", "back", "web"), "endpoint with name web already exists in network back"),
        (("rm", "back"), "network back has active endpoints"),
        (("connect", "--ip", "10.61.0.7", "front", "db"), "Address already in use"),
    ):
        assert refusal in sandbox.run("network", *words, status=1).stderr
    assert set(guests(sandbox, "front")) == {"web"}
    # off the first: the way out is by the other one then
    sandbox.run("network", "disconnect", "front", "web")
    route = sandbox.run("exec", "web", "busybox", "ip", "route").stdout
    assert "default via 10.62.0.1 dev eth1" in route
    assert "eth0" not in route
    sandbox.run("network", "disconnect", "back", "web")
    assert not reaches(sandbox, "web", "10.62.0.2")
    assert shown(sandbox, "web") == {}
    # and it stays so
    sandbox.run("restart", "-t", "0", "web")
    assert "eth" not in sandbox.run("exec", "web", "busybox", "ip", "addr").stdout
    sandbox.run("network", "connect", "back", "web")
    assert reaches(sandbox, "db", "web")
    assert [told for told in events(sandbox) if told[1] == "front"] == [("connect", "front"), ("disconnect", "front")]
    sandbox.run("rm", "-f", "web", "db")
    assert sandbox.run("network", "rm", "front", "back").lines == ["front", "back"]


def test_an_address_is_free_when_its_holder_is_gone(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("network", "create", "--subnet", "10.63.0.0/24", "front")
    options = ("--network", "front", "--ip", "10.63.0.5")
    start(sandbox, "first", busybox, *options)
    refused = sandbox.run("run", "-d", "--name", "second", *options, busybox, *IDLE, status=125).stderr
    assert "Address already in use" in refused
    assert "container first has 10.63.0.5 on network front" in refused
    # nothing is half made
    assert sandbox.run("ps", "-a", "--format", "{{.Names}}").lines == ["first"]
    os.kill(monitor_pid(sandbox, "first"), signal.SIGKILL)
    start(sandbox, "second", busybox, *options)
    assert guests(sandbox, "front") == {"second": "10.63.0.5/24"}
    assert "Address already in use" in sandbox.run("start", "first", status=1).stderr
    sandbox.run("stop", "-t", "0", "second")
    sandbox.run("start", "first")
    assert guests(sandbox, "front") == {"first": "10.63.0.5/24"}
    # a network that went meanwhile is told by its name, and one that came again is taken
    sandbox.run("stop", "-t", "0", "first")
    sandbox.run("network", "rm", "front")
    assert "network front not found" in sandbox.run("start", "first", status=1).stderr
    sandbox.run("network", "create", "--subnet", "10.63.0.0/16", "front")
    sandbox.run("start", "first")
    assert guests(sandbox, "front") == {"first": "10.63.0.5/16"}
