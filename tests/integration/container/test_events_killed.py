"""SIGKILL of a command, a monitor or a container at any moment: the events are those of what became of the records.

The moments are drawn from a seed (SANDBOX_KILL_SEED) over the time that an undisturbed command takes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest

from tests import leaks

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "3"))
#: what may follow what, for a container and for a volume; "" is before the first, and "destroy" is the last
_NEXT = {
    "": {"create"},
    "create": {"start", "destroy"},
    "start": {"die"},
    "die": {"start", "destroy"},
    "destroy": set(),
}


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(8, id="8 rounds"),
        pytest.param(200, id="200 rounds", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_events_are_those_of_what_became_of_the_records(sandbox: Sandbox, busybox: str, rounds: int) -> None:
    chance = random.Random(_SEED)
    new = ("run", "-d", "--network", "none", "-v", "/data")
    began = time.monotonic()
    sandbox.run(*new, "--name", "first", busybox, "sleep", "1000")
    longest = time.monotonic() - began
    for number in range(rounds):
        name = chance.choice(("a", "b"))
        words = chance.choice((
            (*new, "--name", name, "--restart", "always", busybox, "sleep", "0.05"),
            (*new, "--name", name, "--rm", busybox, "sleep", "0.05"),
            (*new, "--name", name, busybox, "sleep", "1000"),
            ("stop", "-t", "0", "first"),
            ("restart", "-t", "0", "first"),
            ("rm", "-fv", name),
        ))  # fmt: skip
        moment = chance.uniform(0, longest)
        _kill_some_time(sandbox, words, moment, chance)
        # who looks mends what was left
        sandbox.run("ps", "-a")
        _check(sandbox, f"round {number}, {' '.join(words)} at {moment:.3f} s")
    sandbox.run("rm", "-fv", "first", "a", "b")
    _check(sandbox, "the end")
    assert _rows(sandbox, "SELECT id FROM container") == []


def _kill_some_time(sandbox: Sandbox, words: tuple[str, ...], moment_seconds: float, chance: random.Random) -> None:
    with sandbox.spawn(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as command:
        try:
            command.wait(moment_seconds)
        except subprocess.TimeoutExpired:
            victims = [int(line.split()[0]) for line in leaks.processes_of(str(sandbox.home.root))]
            with suppress(ProcessLookupError):
                os.kill(chance.choice([command.pid, *victims]), signal.SIGKILL)
        command.wait()


def _rows(sandbox: Sandbox, query: str) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(sandbox.home.data / "sandbox/state.db")) as connection:
        return connection.execute(query).fetchall()


def _check(sandbox: Sandbox, when: str) -> None:
    with closing(sqlite3.connect(sandbox.home.data / "sandbox/state.db", isolation_level=None)) as connection:
        # one moment of both: a container may be restarting by itself
        connection.execute("BEGIN")
        rows = connection.execute("SELECT kind, action, actor, attributes FROM event ORDER BY id").fetchall()
        states = dict(connection.execute("SELECT id, json_extract(state, '$.status') FROM container"))
        volumes = {name for (name,) in connection.execute("SELECT name FROM volume")}
    last: dict[str, str] = {}
    made: set[str] = set()
    for kind, action, actor, attributes in rows:
        if kind == "container" and action in _NEXT:
            assert action in _NEXT[last.get(actor, "")], f"{when}: {json.loads(attributes)['name']}: {action}"
            last[actor] = action
        elif kind == "volume" and action in ("create", "destroy"):
            assert (actor in made) == (action == "destroy"), when
            made ^= {actor}
    assert {actor for actor, action in last.items() if action != "destroy"} == set(states), when
    running = {container_id for container_id, status in states.items() if status == "running"}
    assert {actor for actor, action in last.items() if action == "start"} == running, when
    assert made == volumes, when
