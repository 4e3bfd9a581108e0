"""SIGKILL at any moment of a `cp`: nothing is wrong with the store, and the next one is right.

The moments are drawn from a seed (SANDBOX_KILL_SEED) over the time an undisturbed one takes; a round that fails names
its number and its moment.
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

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]

_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "3"))
_FILES = 150


def _content(tree: Path) -> dict[str, bytes]:
    return {str(path.relative_to(tree)): path.read_bytes() for path in tree.rglob("*") if path.is_file()}


def _kill(sandbox: Sandbox, command: subprocess.Popen[bytes], chance: random.Random, kept: set[int]) -> None:
    """Kill the command or one of the processes that work for it, but none that the running container is made of."""
    victim = command.pid
    if chance.random() < 0.5:
        helpers = {int(line.split()[0]) for line in leaks.processes_of(str(sandbox.home.root))}
        victim = chance.choice(sorted(helpers - kept - {command.pid}) or [command.pid])
    with suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(5, id="5 rounds"),
        pytest.param(200, id="200 rounds", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_a_copy_that_is_killed(sandbox: Sandbox, busybox: str, tmp_path: Path, rounds: int) -> None:
    tree = tmp_path / "tree"
    for number in range(_FILES):
        (tree / f"d{number % 7}").mkdir(parents=True, exist_ok=True)
        (tree / f"d{number % 7}/{number}").write_bytes(b"%d\n" % number * 5000)
    expected = _content(tree)
    options = ("--network", "none", "-v", "data:/vol")
    sandbox.run("run", "-d", "--name", "web", *options, busybox, "busybox", "sleep", "1000000")
    sandbox.run("create", "--name", "made", *options, busybox, "busybox", "sleep", "1000000")
    kept = {int(line.split()[0]) for line in leaks.processes_of(str(sandbox.home.root))}
    began = time.monotonic()
    for name in ("web", "made"):
        sandbox.run("cp", tree, f"{name}:/source")
    undisturbed = (time.monotonic() - began) / 2
    chance = random.Random(_SEED)
    for number in range(rounds):
        name, place = chance.choice(("web", "made")), chance.choice(("/tmp", "/vol"))
        inward = chance.random() < 0.5
        moment = chance.random() * undisturbed
        words = ("cp", tree, f"{name}:{place}") if inward else ("cp", f"{name}:/source", tmp_path / "out")
        with sandbox.spawn(*words) as command:
            try:
                command.wait(moment)
            except subprocess.TimeoutExpired:
                _kill(sandbox, command, chance, kept)
            command.communicate(timeout=60)
        told = f"round {number}, {moment:.3f} s, {words}"
        found = sandbox.run("system", "check", status=None)
        assert found.status == 0, f"{told}: {found.stdout}{found.stderr}"
        # what is half there is replaced, and nobody waits for the dead
        sandbox.run("cp", f"{tree}/.", f"{name}:{place}/again")
        back = tmp_path / f"back-{number}"
        sandbox.run("cp", f"{name}:{place}/again", back)
        assert _content(back) == expected, told
    sandbox.run("start", "made")
    assert sandbox.run("exec", "made", "cat", "/source/d1/1").stdout == "1\n" * 5000
