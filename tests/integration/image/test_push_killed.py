"""SIGKILL at any moment of a push: the next one brings everything, and nothing is wrong with the store."""

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
from tests.integration.image.hostile import make_layer

if TYPE_CHECKING:
    from tests.command import Sandbox
    from tests.registry import Registry

pytestmark = [pytest.mark.requires("userns", "subids", "registry"), pytest.mark.slow]

_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "3"))


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(6, id="6 rounds"),
        pytest.param(200, id="200 rounds", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_a_push_that_is_killed(sandbox: Sandbox, registry: Registry, rounds: int) -> None:
    chance = random.Random(_SEED)
    whole_seconds = 0.0
    for number in range(rounds + 1):
        # an image that the registry has nothing of
        layer = make_layer({"number": str(number).encode(), "noise": random.Random(number).randbytes(200_000)})
        name = f"{registry.host}/killed/push{number % 3}:{number}"
        image_id = sandbox.run("import", "-", name, input=layer).stdout.strip()
        if number == 0:
            begun = time.monotonic()
            sandbox.run("push", name)
            whole_seconds = time.monotonic() - begun
            continue
        moment = chance.random() * whole_seconds
        where = f"round {number} of seed {_SEED}, killed after {moment:.3f} s"
        with sandbox.spawn("push", name, stdout=subprocess.DEVNULL) as command:
            try:
                command.wait(moment)
            except subprocess.TimeoutExpired:
                with suppress(ProcessLookupError):
                    os.kill(command.pid, signal.SIGKILL)
            _output, talk = command.communicate(timeout=60)
        assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
        assert b"Traceback" not in talk, where
        checked = sandbox.run("system", "check", status=None)
        assert checked.status == 0, f"{where}: {checked.stdout}{checked.stderr}"
        sandbox.run("push", "-q", name)
        sandbox.run("rmi", name)
        sandbox.run("pull", "-q", name)
        assert sandbox.run("image", "inspect", "-f", "{{.Id}}", name).stdout.strip() == image_id, where
        sandbox.run("rmi", name)
    sandbox.run("system", "check", "--repair")
    assert sandbox.run("system", "check").stdout.endswith("nothing is wrong\n")
