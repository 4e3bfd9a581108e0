"""SIGKILL of `compose up` and `down` at any moment: the next one finishes, and nothing is left beside the project.

The moments are drawn from a seed (SANDBOX_KILL_SEED) over the time that an undisturbed command takes.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests import leaks

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "busybox"), pytest.mark.slow]
_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "5"))
_FILE = """
name: killed
services:
  db:
    image: busybox
    command: sleep 1000
    stop_signal: KILL
    environment: {{WORD: {word}}}
    network_mode: none
    volumes: [data:/data, /unnamed]
  web:
    image: busybox
    command: sleep 1000
    stop_signal: KILL
    scale: 2
    depends_on: [db]
    network_mode: none
    environment: {{WORD: {word}}}
volumes: {{data: }}
"""


def _containers(sandbox: Sandbox) -> Counter[str]:
    """How many of each service are in which state. A second whose first was not made yet keeps its number."""
    lines = sandbox.run("ps", "-a", "--format", "{{.Names}} {{.State}}").lines
    return Counter(re.sub(r"-\d+ ", " ", line) for line in lines)


_WANTED = {"killed-db running": 1, "killed-web running": 2}


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(3, id="3 rounds"),
        pytest.param(100, id="100 rounds", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_the_next_one_finishes(sandbox: Sandbox, busybox: str, tmp_path: Path, rounds: int) -> None:
    chance = random.Random(_SEED)
    directory = tmp_path / "killed"
    directory.mkdir()
    file = directory / "compose.yaml"
    file.write_text(_FILE.format(word="first"))
    began = time.monotonic()
    sandbox.run("compose", "up", "-d", cwd=directory)
    longest = time.monotonic() - began
    assert _containers(sandbox) == _WANTED
    for number in range(rounds):
        # another configuration: what runs is made again
        file.write_text(_FILE.format(word=f"w{number}"))
        _killed(sandbox, directory, chance.uniform(0, longest), "up", "-d")
        sandbox.run("compose", "up", "-d", cwd=directory)
        assert _containers(sandbox) == _WANTED, f"after round {number}"
        assert len(sandbox.run("volume", "ls", "-q").lines) == 2
        if number % 2:
            _killed(sandbox, directory, chance.uniform(0, longest), "up", "-d", "--scale", "web=4")
            sandbox.run("compose", "up", "-d", "--scale", f"web={number % 4}", cwd=directory)
            assert _containers(sandbox) == {**_WANTED, "killed-web running": number % 4}, f"after round {number}"
        _killed(sandbox, directory, chance.uniform(0, longest), "down", "-v")
        sandbox.run("compose", "down", "-v", cwd=directory)
        assert not _containers(sandbox), f"after round {number}"
        assert sandbox.run("volume", "ls", "-q").lines == []
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []


def _killed(sandbox: Sandbox, directory: Path, seconds: float, *words: str) -> None:
    """Run the command, and kill it after so long; the workers that it has started end with it."""
    process = subprocess.Popen(
        sandbox.words("compose", *words), cwd=directory, env=sandbox.home.env, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
