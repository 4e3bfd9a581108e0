"""The keeper of bridge networks beneath real containers: killed, stopped, reset, and what it says of itself."""

from __future__ import annotations

import json
import os
import random
import re
import select
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.integration.network.test_bridge_failures import SERVE, fetch
from tests.integration.network.test_bridges import address, holders, networks, reaches, start
from tests.needs import CONTAINER
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

    Eventually = Callable[[Callable[[], object]], None]

__all__ = ["networks"]

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox"), pytest.mark.slow]

_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "13"))
#: slirp4netns itself, which answers there
OUTSIDE = "10.0.2.2"


def _account(sandbox: Sandbox) -> dict[str, Any]:
    """What the keeper says of itself."""
    (line,) = sandbox.run("network", "inspect", "-v", "-f", "{{json .Keeper}}", "front").lines
    account: dict[str, Any] = json.loads(line)
    return account


def _pids(sandbox: Sandbox) -> tuple[int, int]:
    """Those of keeper and slirp4netns; 0 for one that is not there."""
    account = _account(sandbox)
    return account.get("Pid", 0), account.get("WayOut", {}).get("Pid", 0)


def _end(*pids: int) -> None:
    """Kill them all, then wait until they are gone."""
    opened = [os.pidfd_open(pid) for pid in pids]
    for pidfd in opened:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    for pidfd in opened:
        _wait_gone(pidfd)


def _wait_gone(pidfd: int) -> None:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    assert poller.poll(20_000), "it does not end"
    os.close(pidfd)


def _has_own_interpreter(pid: int) -> bool:
    """Whether it goes by the kept code, with nothing of who forked it."""
    links = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    return any("/monitor-code/" in link for link in links)


def test_a_container_starts_again_while_there_is_no_keeper(
    sandbox: Sandbox, networks: str, eventually: Eventually
) -> None:
    start(sandbox, "web", networks, "--network", "front", "--restart", "always")
    # for the second and the third one it is waited longer, as for what ends again and again
    for _ in range(3):
        eventually(lambda: _pids(sandbox)[0])
        _end(_pids(sandbox)[0])
    _end(int(sandbox.run("inspect", "-f", "{{.State.Pid}}", "web").stdout))
    again = ("inspect", "-f", "{{.State.Status}} {{.RestartCount}}", "web")
    eventually(lambda: sandbox.run(*again).lines == ["running 1"])
    eventually(lambda: _pids(sandbox)[0])
    eventually(lambda: reaches(sandbox, "web", "web"))


def test_containers_outlive_keeper_and_slirp4netns(sandbox: Sandbox, networks: str, eventually: Eventually) -> None:
    start(sandbox, "web", networks, "--network", "front")
    start(sandbox, "app", networks, "--network", "front")
    web = address(sandbox, "web")
    assert reaches(sandbox, "app", "web")
    assert reaches(sandbox, "app", OUTSIDE)
    keeper, slirp = _pids(sandbox)
    assert _has_own_interpreter(keeper)
    assert f"process {keeper} answers the names of 2 containers" in sandbox.run("doctor", "keeper").stdout

    _end(keeper)
    # nothing but names was its own
    assert reaches(sandbox, "app", web)
    assert reaches(sandbox, "app", OUTSIDE)
    eventually(lambda: reaches(sandbox, "app", "web"))
    second, same = _pids(sandbox)
    assert second != keeper
    assert same == slirp

    _end(slirp)
    assert reaches(sandbox, "app", "web")
    eventually(lambda: reaches(sandbox, "app", OUTSIDE))
    same, another = _pids(sandbox)
    assert same == second
    assert another != slirp
    assert f"slirp4netns {slirp} ended" in json.dumps(_account(sandbox)["Log"])

    _end(second, another)
    assert reaches(sandbox, "app", web)
    eventually(lambda: reaches(sandbox, "app", "web"))
    eventually(lambda: reaches(sandbox, "app", OUTSIDE))
    assert set(_pids(sandbox)).isdisjoint((second, another))
    assert len(_account(sandbox)["Containers"]) == 2

    left = [os.pidfd_open(pid) for pid in _pids(sandbox)]
    sandbox.run("rm", "-f", "web", "app")
    for pidfd in left:
        _wait_gone(pidfd)
    assert _account(sandbox) is None
    assert "no container is on a bridge network" in sandbox.run("doctor", "keeper").stdout
    assert not any(name.endswith(".sock") for name in os.listdir(sandbox.home.runtime / "sandbox"))


class _Holdings(NamedTuple):
    """What grows with each container where something is kept of it."""

    descriptors: int
    #: of memory that is no file's
    kib: int
    monitor_descriptors: int
    rules: str
    links: int


def _holdings(sandbox: Sandbox, keeper: int) -> _Holdings:
    monitor, _start, _boot, fd, _router = holders(sandbox)[0]
    while not os.readlink(f"/proc/{monitor}/exe").startswith("/memfd:"):
        # with other descriptors than those it will rest with; a look takes its own time
        sandbox.run("ps", "-q")
    enter = ("nsenter", f"--target={monitor}", "--user", f"--net=/proc/{monitor}/fd/{fd}", "--preserve-credentials")
    rules = subprocess.check_output([*enter, "nft", "list", "ruleset"], text=True)
    links = subprocess.check_output([*enter, "ip", "-o", "link"], text=True)
    while links.count(": v") > 1:
        # the kernel takes the wires of a container that has ended in its own time
        links = subprocess.check_output([*enter, "ip", "-o", "link"], text=True)
    (anonymous,) = [
        line for line in Path(f"/proc/{keeper}/smaps_rollup").read_text().splitlines() if line.startswith("Anonymous:")
    ]
    return _Holdings(
        len(os.listdir(f"/proc/{keeper}/fd")),
        int(anonymous.split()[1]),
        len(os.listdir(f"/proc/{monitor}/fd")),
        re.sub(r"packets \d+ bytes \d+", "", rules),
        len(links.splitlines()),
    )


@pytest.mark.requires("nft")
@pytest.mark.parametrize("rounds", [3, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
def test_containers_that_come_and_go_leave_nothing_in_keeper_and_router(
    sandbox: Sandbox, networks: str, rounds: int
) -> None:
    start(sandbox, "stays", networks, "--network", "front")
    keeper, slirp = _pids(sandbox)
    run = ("run", "--rm", "--network", "front", "--network", "back", "-p", "80", networks, "true")
    # what is made once, and kept, is made by the first
    for _ in range(min(rounds, 20)):
        sandbox.run(*run)
    before = _holdings(sandbox, keeper)
    for _ in range(rounds):
        sandbox.run(*run)
    assert _pids(sandbox) == (keeper, slirp)
    after = _holdings(sandbox, keeper)
    while after.descriptors > before.descriptors:
        # the connection of the question has not been seen to end
        after = _holdings(sandbox, keeper)
    assert after.kib < before.kib + 512
    assert after[2:] == before[2:]


def test_a_keeper_that_does_not_answer_is_found_and_ended(
    sandbox: Sandbox, networks: str, eventually: Eventually
) -> None:
    start(sandbox, "web", networks, "--network", "front")
    start(sandbox, "app", networks, "--network", "front")
    keeper, _slirp = _pids(sandbox)
    pidfd = os.pidfd_open(keeper)
    os.kill(keeper, signal.SIGSTOP)
    assert "does not answer" in sandbox.run("doctor", "keeper", status=None).stdout
    found = sandbox.run("system", "check", "--quick", "--repair", status=None).stdout
    assert f"process {keeper}" in found
    _wait_gone(pidfd)
    eventually(lambda: reaches(sandbox, "app", "web"))
    assert _pids(sandbox)[0] != keeper
    # and a reset leaves nobody to wait for
    left = [os.pidfd_open(pid) for pid in _pids(sandbox)]
    sandbox.run("system", "reset", "-f")
    for pidfd in left:
        _wait_gone(pidfd)
    assert not (sandbox.home.runtime / "sandbox").exists()


@pytest.mark.parametrize("rounds", [1, pytest.param(100, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
def test_a_command_is_finished_whatever_is_killed_meanwhile(
    sandbox: Sandbox, networks: str, eventually: Eventually, rounds: int
) -> None:
    port = find_free_port()
    start(sandbox, "app", networks, "--network", "front")
    sandbox.run("run", "-d", "--name", "web", "--network", "front", "-p", f"127.0.0.1:{port}:80", networks, *SERVE)
    chance = random.Random(_SEED)
    commands = (
        ("run", "--rm", "--network", "front", "-p", "80", networks, "true"),
        ("network", "connect", "back", "app"),
        ("network", "disconnect", "back", "app"),
        ("network", "create", "more"),
        ("network", "rm", "more"),
    )
    took: dict[tuple[str, ...], float] = {}
    for number in range(rounds * len(commands)):
        words = commands[number % len(commands)]
        victims = _pids(sandbox)
        began = time.monotonic()
        process = sandbox.spawn(*words)
        with suppress(subprocess.TimeoutExpired):
            process.wait(chance.uniform(0, took.get(words, 0.3)))
        _end(*chance.choice((victims, victims[:1], victims[1:])))
        _out, said = process.communicate(timeout=60)
        took.setdefault(words, time.monotonic() - began)
        assert process.returncode == 0, (number, words, said)
        assert fetch(port) == "served", number
        assert reaches(sandbox, "app", address(sandbox, "web"))
        eventually(lambda: reaches(sandbox, "app", "web"))
        eventually(lambda: reaches(sandbox, "app", OUTSIDE))
    assert sorted(_account(sandbox)["Containers"]) == sorted(sandbox.run("ps", "-q", "--no-trunc").lines)
    left = [os.pidfd_open(pid) for pid in _pids(sandbox)]
    sandbox.run("rm", "-f", "web", "app")
    for pidfd in left:
        _wait_gone(pidfd)
    assert _account(sandbox) is None
