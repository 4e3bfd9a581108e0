"""Networks by their commands: containers put on them and taken off while they run, and what is told of it."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.container.conftest import kill_monitor, monitor_pid
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


def test_who_leaves_the_default_network_asks_the_next_for_names(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("network", "create", "--subnet", "10.64.0.0/24", "front")
    start(sandbox, "web", busybox, "--network", "bridge")
    start(sandbox, "db", busybox, "--network", "front")
    sandbox.run("exec", "web", "sh", "-c", "echo 'options attempts:3' >> /etc/resolv.conf")
    sandbox.run("network", "disconnect", "bridge", "web")
    # the lock of who changes bridges is another's meanwhile: the container answers, and comes there when it can
    with open(sandbox.home.data / "sandbox/router/lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        connecting = [sandbox.spawn("network", "connect", network, "web") for network in ("front", "bridge")]
        while len(shown(sandbox, "web")) < 2:
            assert all(one.poll() is None for one in connecting)
        assert sandbox.run("logs", "web").status == 0
        assert "eth" not in sandbox.run("exec", "web", "busybox", "ip", "addr").stdout
        sandbox.run("exec", "web", "true")
    assert [one.wait(60) for one in connecting] == [0, 0]
    sandbox.run("network", "disconnect", "bridge", "web")
    text = sandbox.run("exec", "web", "cat", "/etc/resolv.conf").lines
    assert "nameserver 10.64.0.1" in text
    assert "options attempts:3" in text
    assert len([line for line in text if line.startswith("nameserver")]) == 1
    assert reaches(sandbox, "web", "db")


def test_a_way_out_that_is_down_inside_is_no_reason_to_stay(sandbox: Sandbox, busybox: str) -> None:
    for name in ("front", "back"):
        sandbox.run("network", "create", name)
    start(
        sandbox, "web", busybox, "--network", "front", "--network", "name=back,gw-priority=1", "--cap-add", "NET_ADMIN"
    )
    sandbox.run("exec", "web", "busybox", "ip", "link", "set", "eth0", "down")
    sandbox.run("network", "disconnect", "back", "web")
    assert set(shown(sandbox, "web")) == {"front"}
    sandbox.run("network", "connect", "back", "web")
    sandbox.run("restart", "-t", "0", "web")
    assert set(shown(sandbox, "web")) == {"front", "back"}
    assert sandbox.run("exec", "web", "busybox", "ip", "route").stdout.count("default") == 1


def test_networks_without_wires_tell_who_is_on_them(sandbox: Sandbox, busybox: str) -> None:
    start(sandbox, "lone", busybox, "--network", "none")
    start(sandbox, "open", busybox, "--network", "host")
    assert (guests(sandbox, "none"), guests(sandbox, "host")) == ({"lone": ""}, {"open": ""})
    sandbox.run("stop", "-t", "0", "lone")
    assert guests(sandbox, "none") == {}


def test_an_address_is_free_when_its_holder_is_gone(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("network", "create", "--subnet", "10.63.0.0/24", "front")
    options = ("--network", "front", "--ip", "10.63.0.5")
    start(sandbox, "first", busybox, *options)
    refused = sandbox.run("run", "-d", "--name", "second", *options, busybox, *IDLE, status=125).stderr
    assert "Address already in use" in refused
    assert "container first has 10.63.0.5 on network front" in refused
    # nothing is half made
    assert sandbox.run("ps", "-a", "--format", "{{.Names}}").lines == ["first"]
    kill_monitor(sandbox, "first")
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


#: what a person may be told when somebody else was faster; anything else is a fault
EXCUSES = (
    "already exists in network", "is not connected to network", "has active endpoints", "is not running",
    "network back not found", "network with name back already exists", "while it was being started",
    "was started or removed meanwhile", "is being stopped",
    "its network is not there yet, or no more",
)  # fmt: skip
COMMANDS = (
    ("network", "connect", "back", "cc"), ("network", "connect", "back", "cc"), ("network", "disconnect", "back", "cc"),
    ("start", "cc"), ("stop", "-t", "0", "cc"), ("restart", "-t", "0", "cc"), ("network", "rm", "back"),
    ("network", "create", "back"), ("run", "--rm", "--network", "back", "IMAGE", "busybox", "true"), ("monitor",),
)  # fmt: skip


def at_once(sandbox: Sandbox, image: str, chosen: random.Random, count: int) -> None:
    """Some of the commands, all begun before one has ended."""
    commands = [chosen.choice(COMMANDS) for _ in range(count)]
    processes = []
    for command in commands:
        if command == ("monitor",):
            with suppress(OSError, IndexError):
                os.kill(monitor_pid(sandbox, "cc"), signal.SIGKILL)
        else:
            processes.append((command, sandbox.spawn(*(image if word == "IMAGE" else word for word in command))))
    for command, process in processes:
        _out, error = process.communicate(timeout=60)
        text = error.decode()
        assert process.returncode == 0 or any(excuse in text for excuse in EXCUSES), (commands, command, text)


def check_truth(sandbox: Sandbox) -> None:
    """The interfaces inside are those that the record tells, on networks that are there."""
    if "back" not in sandbox.run("network", "ls", "--format", "{{.Name}}").lines:
        sandbox.run("network", "create", "back")
    sandbox.run("start", "cc")
    inside = sandbox.run("exec", "cc", "busybox", "ip", "-4", "-o", "addr").stdout
    addresses = {line.split()[3] for line in inside.splitlines() if " eth" in line}
    told = {f"{one['IPAddress']}/{one['IPPrefixLen']}" for one in shown(sandbox, "cc").values()}
    assert addresses == told
    assert {*guests(sandbox, "front").values(), *guests(sandbox, "back").values()} == told


def test_commands_at_once_leave_what_the_record_tells(sandbox: Sandbox, busybox: str) -> None:
    chosen = random.Random(13)
    sandbox.run("network", "create", "front")
    sandbox.run("network", "create", "back")
    sandbox.run("create", "--name", "cc", "--network", "front", busybox, *IDLE)
    for _ in range(4):
        at_once(sandbox, busybox, chosen, 4)
        check_truth(sandbox)


def test_those_that_start_at_once_have_addresses_of_their_own(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("network", "create", "--subnet", "10.64.0.0/28", "front")
    names = [f"c{number}" for number in range(5)]
    processes = [sandbox.spawn("run", "-d", "--name", name, "--network", "front", busybox, *IDLE) for name in names]
    for process in processes:
        process.communicate()
    assert [process.returncode for process in processes] == [0] * 5
    assert sorted(guests(sandbox, "front").values()) == [f"10.64.0.{number}/28" for number in range(2, 7)]
    assert all(reaches(sandbox, "c0", name) for name in names)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_hundreds_of_rounds_of_commands_at_once(sandbox: Sandbox, busybox: str) -> None:
    chosen = random.Random(400)
    sandbox.run("network", "create", "front")
    sandbox.run("network", "create", "back")
    sandbox.run("create", "--name", "cc", "--network", "front", busybox, *IDLE)
    for _ in range(300):
        at_once(sandbox, busybox, chosen, chosen.choice((2, 3, 4)))
        check_truth(sandbox)
