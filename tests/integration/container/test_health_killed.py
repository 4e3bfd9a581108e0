"""SIGKILL of a monitor, a probe or a command at any moment: what is said of a container's health is true afterwards.

The moments are drawn from a seed (SANDBOX_KILL_SEED).
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests import leaks

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "3"))
_CHECKED = ("--health-interval", "10ms", "--health-timeout", "100ms", "--health-retries", "2")
#: what a probe may meet: it is well, it fails, it hangs with what it started
_CHECKS = ("sleep 0.02", "exit 1", "sleep 1000 & sleep 1000")
_LONGEST_SECONDS = 0.3
_KINDS = {"starting", "healthy", "unhealthy"}


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(8, id="8 rounds"),
        pytest.param(200, id="200 rounds", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_health_is_true_whatever_is_killed(sandbox: Sandbox, busybox: str, rounds: int) -> None:
    chance = random.Random(_SEED)
    for number, check in enumerate(_CHECKS):
        new = ("run", "-d", "--network", "none", "--name", f"web{number}", *_CHECKED)
        restart = ("--restart", "always") if number == 1 else ()
        sandbox.run(*new, *restart, "--health-cmd", check, busybox, "sleep", "1000")
    for number in range(rounds):
        name = f"web{chance.randrange(len(_CHECKS))}"
        words = chance.choice((
            ("start", name),
            ("restart", "-t", "0", name),
            ("stop", "-t", "0", name),
            ("exec", name, "true"),
            ("events", "--filter", f"container={name}"),
        ))  # fmt: skip
        killed = _kill_some_time(sandbox, words, chance)
        _check(sandbox, f"round {number}: {' '.join(words)}, killed {killed}")
    sandbox.run("rm", "-f", *(f"web{number}" for number in range(len(_CHECKS))))
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
    sandbox.run("system", "check")


def _kill_some_time(sandbox: Sandbox, words: tuple[str, ...], chance: random.Random) -> str:
    """Kill the command or, after it has ended as well, one of the processes that there are: "" where none was."""
    with sandbox.spawn(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command:
        with suppress(subprocess.TimeoutExpired):
            command.wait(chance.uniform(0, _LONGEST_SECONDS))
        there = leaks.processes_of(str(sandbox.home.root))
        victim = chance.choice(there) if there else ""
        if victim:
            with suppress(ProcessLookupError):
                os.kill(int(victim.split()[0]), signal.SIGKILL)
        if words[0] == "events":
            command.kill()
        command.wait()
    return victim


def _check(sandbox: Sandbox, when: str) -> None:
    names = [f"web{number}" for number in range(len(_CHECKS))]
    for document in json.loads(sandbox.run("inspect", *names).stdout):
        state: dict[str, Any] = document["State"]
        health = state["Health"]
        about = f"{when}: {document['Name']} {state}"
        assert health["Status"] in _KINDS, about
        assert len(health["Log"]) <= 5, about
        if not state["Running"]:
            assert health["Status"] == "unhealthy", about
            assert state["Pid"] == 0, about
        elif document["Name"] != "/web0":
            assert health["Status"] in ("starting", "unhealthy"), about
            assert (health["FailingStreak"] >= 2) or health["Status"] == "starting" or state["Restarting"], about
    told = sandbox.run("events", "--since", "1h", "--until", "0s", "--filter", "event=health_status").lines
    assert all("health_status: healthy" not in line or "name=web0" in line for line in told), when
