"""SIGKILL at any moment of a removal, a prune, an import into a volume or a reset: nothing is wrong with the store.

The moments are drawn from a seed (SANDBOX_KILL_SEED) over the time an undisturbed command takes; a round that fails
names its number and its moment.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.subordinate import run_as_namespace_root

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.integration.upkeep.conftest import Store

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp", "umoci", "busybox"), pytest.mark.slow]

_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "3"))
#: each is tried in turn
_COMMANDS: tuple[tuple[str, ...], ...] = (
    ("system", "prune", "-af", "--volumes"),
    ("rm", "-fv", "victim"),
    ("volume", "prune", "-af"),
    ("container", "prune", "-f"),
    ("volume", "rm", "data"),
    ("image", "prune", "-af"),
    ("builder", "prune", "-af"),
    ("rmi", "-f", "round"),
)


def _rounds(normal: int, long: int) -> list[object]:
    return [
        pytest.param(normal, id=f"{normal} rounds"),
        pytest.param(long, id=f"{long} rounds", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ]


def _kill_some_time(store: Store, words: Sequence[str | Path], moment_seconds: float, chance: random.Random) -> str:
    """Start the command; at the moment kill it, or one of the processes that work for it. What it said of errors."""
    sandbox = store.sandbox
    with sandbox.spawn(*words, stdout=subprocess.DEVNULL) as command:
        try:
            command.wait(moment_seconds)
        except subprocess.TimeoutExpired:
            helpers = [int(line.split()[0]) for line in leaks.processes_of(str(sandbox.home.root))]
            victims = [pid for pid in helpers if pid != command.pid]
            victim = chance.choice(victims) if victims and chance.random() < 0.4 else command.pid
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        _output, talk = command.communicate(timeout=60)
    return talk.decode(errors="replace")


def _timed(store: Store, words: Sequence[str | Path]) -> float:
    began = time.monotonic()
    store.sandbox.run(*words, status=None)
    return time.monotonic() - began


def _check(store: Store, where: str) -> None:
    checked = store.sandbox.run("system", "check", status=None)
    assert checked.status == 0, f"{where}: {checked.stdout}{checked.stderr}"


@pytest.mark.parametrize("rounds", _rounds(3, 200))
def test_a_removal_that_is_killed(store: Store, tmp_path: Path, rounds: int) -> None:
    run, chance = store.sandbox.run, random.Random(_SEED)
    # what a prune of images may take, and what everything is made of again
    run("save", "-o", tmp_path / "made.tar", "made")
    fill = "mkdir -p /kept/many; for i in $(seq 200); do echo $i > /kept/many/$i; done; chown -R 33:33 /kept/many"
    made = ("run", "-d", "--network", "none", "-v", "data:/kept", "-v", "/anonymous", "--name", "victim", "round")
    dockerfile = "FROM made\nRUN for i in $(seq 200); do echo $i > /$i; done\n"

    def prepare() -> None:
        if not run("images", "-q", "made").lines:
            run("load", "-q", "-i", tmp_path / "made.tar")
        run("build", "-q", "--network", "none", "-t", "round", "-", input=dockerfile)
        run("rm", "-f", "victim")
        run(*made, "sh", "-c", f"{fill}; exec sleep 300")
        if chance.random() < 0.5:
            run("rm", "-f", "victim")

    prepare()
    longest = _timed(store, _COMMANDS[0])
    for number in range(rounds):
        words = _COMMANDS[number % len(_COMMANDS)]
        prepare()
        moment = chance.uniform(0, longest)
        where = f"round {number} of seed {_SEED}, {' '.join(words)} killed after {moment:.3f} s"
        talk = _kill_some_time(store, words, moment, chance)
        assert "Traceback" not in talk, f"{where}: {talk}"
        _check(store, where)
    run("system", "prune", "-af", "--volumes")
    run("rm", "-f", "victim")
    assert "wrong" not in run("system", "check", "--repair").stdout.replace("nothing is wrong", "")
    assert run("system", "check").stdout.endswith("nothing is wrong\n")


@pytest.mark.parametrize("rounds", _rounds(3, 200))
def test_an_import_that_is_killed(store: Store, tmp_path: Path, rounds: int) -> None:
    run, chance = store.sandbox.run, random.Random(_SEED)
    archives = {}
    for name in ("old", "new"):
        source = tmp_path / name
        source.mkdir()
        for number in range(150):
            (source / str(number)).write_text(name * 100)
        archives[name] = tmp_path / f"{name}.tar"
        run_as_namespace_root(["tar", "-C", source, "-cf", archives[name], "."])
    run("volume", "create", "data")
    longest = _timed(store, ("volume", "import", "data", archives["old"]))
    data = store.root / "volumes/data/_data"
    for number in range(rounds):
        wanted = ("new", "old")[number % 2]
        moment = chance.uniform(0, longest)
        where = f"round {number} of seed {_SEED}, killed after {moment:.3f} s"
        talk = _kill_some_time(store, ("volume", "import", "data", archives[wanted]), moment, chance)
        assert "Traceback" not in talk, f"{where}: {talk}"
        # all of one archive, or of the other
        assert len({path.read_text() for path in data.iterdir()}) == 1, where
        assert len(list(data.iterdir())) == 150, where
        _check(store, where)
        run("volume", "import", "data", archives[wanted])
        assert {path.read_text() for path in data.iterdir()} == {wanted * 100}, where
    assert sorted(path.name for path in data.parent.iterdir()) == ["_data", "record.json"]
    assert run("system", "check").stdout.endswith("nothing is wrong\n")


@pytest.mark.parametrize("rounds", _rounds(1, 60))
def test_a_reset_that_is_killed(store: Store, tmp_path: Path, rounds: int) -> None:
    run, chance = store.sandbox.run, random.Random(_SEED)
    run("save", "-o", tmp_path / "made.tar", "made")
    longest = _timed(store, ("system", "reset", "-f"))
    for number in range(rounds):
        run("load", "-q", "-i", tmp_path / "made.tar")
        run("run", "-d", "--network", "none", "-v", "data:/made", "made", "sleep", "300")
        moment = chance.uniform(0, longest * 1.5)
        where = f"round {number} of seed {_SEED}, killed after {moment:.3f} s"
        talk = _kill_some_time(store, ("system", "reset", "-f"), moment, chance)
        assert "Traceback" not in talk, f"{where}: {talk}"
        again = run("system", "reset", "-f", status=None)
        assert again.status == 0, f"{where}: {again.stderr}"
        assert list(store.sandbox.home.data.iterdir()) == [], where
        assert leaks.wait_processes_gone(str(store.sandbox.home.root)) == [], where
        assert run("system", "check").stdout.endswith("nothing is wrong\n"), where
