"""Containers on bridge networks: who reaches whom, what they see, and what is left when they are gone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.container.conftest import kill_monitor
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox"), pytest.mark.slow]

IDLE = ("sh", "-c", "trap exit TERM; while :; do sleep 1000 & wait; done")


@pytest.fixture
def networks(sandbox: Sandbox, busybox: str) -> str:
    """Two networks, `front` and `back`; the name of an image."""
    sandbox.run("network", "create", "--subnet", "172.30.1.0/24", "front")
    sandbox.run("network", "create", "--subnet", "172.30.2.0/24", "back")
    return busybox


def start(sandbox: Sandbox, name: str, image: str, *options: str) -> None:
    sandbox.run("run", "-d", "--name", name, *options, image, *IDLE)


def address(sandbox: Sandbox, name: str, interface: str = "eth0") -> str:
    """The IPv4 address that a container has on an interface."""
    words = sandbox.run("exec", name, "busybox", "ip", "-4", "-o", "addr", "show", interface).stdout.split()
    return words[words.index("inet") + 1].partition("/")[0]


def reaches(sandbox: Sandbox, name: str, target: str) -> bool:
    return sandbox.run("exec", name, "busybox", "ping", "-c1", "-W1", target, status=None).status == 0


def holders(sandbox: Sandbox) -> list[list[str]]:
    """The processes that hold the router, as told, and its inode."""
    return [line.split() for line in (sandbox.home.data / "sandbox/router/holders").read_text().splitlines()]


def test_containers_of_one_network_reach_each_other_and_no_others(sandbox: Sandbox, networks: str) -> None:
    start(sandbox, "web", networks, "--network", "front")
    start(sandbox, "app", networks, "--network", "front", "--network", "back", "--hostname", "app")
    start(sandbox, "db", networks, "--network", "back")
    web, app, inner, db = (address(sandbox, *place) for place in (("web",), ("app",), ("app", "eth1"), ("db",)))
    assert [text.rpartition(".")[0] for text in (web, app, inner, db)] == [
        "172.30.1", "172.30.1", "172.30.2", "172.30.2",
    ]  # fmt: skip
    assert reaches(sandbox, "web", app)
    assert reaches(sandbox, "app", db)
    assert reaches(sandbox, "db", inner)
    assert not reaches(sandbox, "web", db)
    assert not reaches(sandbox, "db", web)
    hosts = sandbox.run("exec", "app", "cat", "/etc/hosts").lines
    assert [line for line in hosts if line.endswith("\tapp")] == [f"{app}\tapp", f"{inner}\tapp"]
    assert "nameserver 127.0.0.11" in sandbox.run("exec", "app", "cat", "/etc/resolv.conf").lines
    # its own network is what another one has that shares it
    shared = sandbox.run("run", "--rm", "--network", "container:db", networks, "busybox", "ip", "-4", "-o", "addr")
    assert db in shared.stdout
    # three monitors, one router
    assert len({line[4] for line in holders(sandbox)}) == 1
    assert len(holders(sandbox)) == 3


def test_a_limit_of_processes_is_the_containers_own(sandbox: Sandbox, networks: str) -> None:
    many = "i=0; while [ $i -lt 40 ]; do sleep 1000 & i=$((i+1)); done; echo up; wait"
    few = "i=0; while [ $i -lt 10 ]; do sleep 1000 & i=$((i+1)); done; echo all"
    sandbox.run("run", "-d", "--name", "many", "--network", "front", networks, "sh", "-c", many)
    sandbox.wait_for_log("many", "up")
    # more than a machine can have is no mistake
    sandbox.run("run", "--rm", "--network", "none", "--pids-limit", str(2**63 - 1), networks, "true")
    # held without a cgroup, as a user has it who was given none
    done = sandbox.run("run", "--rm", "--network", "front", "--pids-limit", "20", networks, "sh", "-c", few)
    assert done.lines == ["all"]


def test_what_enters_a_container_finds_it_on_a_bridge(
    sandbox: Sandbox, networks: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    start(sandbox, "web", networks, "--network", "front", "--health-cmd", "test -e /bin/sh", "--health-interval", "1s")
    before = address(sandbox, "web")
    file = sandbox.home.root / "file"
    file.write_text("from the host\n")
    sandbox.run("cp", file, "web:/file")
    assert sandbox.run("exec", "web", "cat", "/file").stdout == "from the host\n"
    sandbox.run("pause", "web")
    sandbox.run("unpause", "web")
    sandbox.run("healthcheck", "run", "web")
    assert "web" in sandbox.run("stats", "--no-stream").stdout
    # a container that its policy starts again is where it was; one that a person starts may be elsewhere
    sandbox.run("update", "--restart", "always", "web")
    sandbox.run("exec", "web", "kill", "-TERM", "1", status=None)
    restarts = ("inspect", "-f", "{{.RestartCount}} {{.State.Status}}", "web")
    eventually(lambda: sandbox.run(*restarts).lines == ["1 running"])
    assert address(sandbox, "web") == before
    sandbox.run("stop", "web")
    sandbox.run("start", "web")
    assert address(sandbox, "web").startswith("172.30.1.")


def test_a_container_comes_and_goes_while_it_runs(sandbox: Sandbox, networks: str) -> None:
    start(sandbox, "web", networks, "--network", "front")
    start(sandbox, "db", networks, "--network", "back")
    assert not reaches(sandbox, "db", "web")
    sandbox.run("network", "connect", "--alias", "site", "back", "web")
    inner = address(sandbox, "web", "eth1")
    assert reaches(sandbox, "db", "site")
    assert sandbox.run("exec", "web", "busybox", "tail", "-1", "/etc/hosts").stdout.split()[0] == inner
    # the way out is by the network whose name is the first, as Docker has it
    assert sandbox.run("exec", "web", "busybox", "ip", "route").lines[0].split()[:5] == [
        "default", "via", "172.30.2.1", "dev", "eth1",
    ]  # fmt: skip
    sandbox.run("rename", "web", "site-1")
    assert reaches(sandbox, "db", "site-1")
    sandbox.run("network", "disconnect", "front", "site-1")
    assert sandbox.run("exec", "site-1", "busybox", "ls", "/sys/class/net").lines == ["eth1", "lo"]
    assert reaches(sandbox, "site-1", "db")
    sandbox.run("network", "disconnect", "back", "site-1")
    assert not reaches(sandbox, "db", "site-1")
    assert not reaches(sandbox, "db", inner)
    assert sandbox.run("exec", "site-1", "busybox", "ip", "route").stdout == ""
    sandbox.run("network", "connect", "front", "site-1")
    assert address(sandbox, "site-1").startswith("172.30.1.")
    sandbox.run("restart", "-t", "1", "site-1")
    assert address(sandbox, "site-1").startswith("172.30.1.")


def test_a_killed_monitor_leaves_the_others_their_network(sandbox: Sandbox, networks: str) -> None:
    start(sandbox, "first", networks, "--network", "front")
    start(sandbox, "second", networks, "--network", "front")
    start(sandbox, "third", networks, "--network", "front")
    kill_monitor(sandbox, "first")
    assert sandbox.run("inspect", "-f", "{{.State.Status}}", "first").lines == ["exited"]
    assert reaches(sandbox, "second", address(sandbox, "third"))
    sandbox.run("start", "first")
    assert reaches(sandbox, "first", address(sandbox, "second"))
