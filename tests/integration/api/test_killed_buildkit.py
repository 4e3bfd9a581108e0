"""SIGKILL in the middle of a build by BuildKit's protocol, of the client, of the server or of what works for it:
nothing half-made stays, and the next build goes through.

The moments are drawn from a seed (SANDBOX_KILL_SEED) over the time that an undisturbed build takes; a round that fails
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
from tests.integration.api.conftest import TIMEOUT_SECONDS, DockerCommand
from tests.integration.api.serving import Serving, helpers_of, workers_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [
    pytest.mark.requires("userns", "subids", "overlay", "busybox", "docker"), pytest.mark.long,
    pytest.mark.timeout(3600),
]  # fmt: skip
_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "7"))
_ROUNDS = 30
_VICTIMS = ("client", "server", "worker")
_DOCKERFILE = """\
FROM {image} AS base
ARG ROUND
COPY sent /sent
RUN for i in 1 2 3 4 5 6 7 8 9; do echo $ROUND >/$i; done
FROM {image}
ARG ROUND
COPY --from=base /9 /sent/1.bin /
RUN --mount=type=cache,target=/cache echo $ROUND >>/cache/rounds; cp /9 /said
CMD ["cat", "/said"]
"""


def test_builds_that_are_cut_short(
    sandbox: Sandbox, busybox: str, tmp_path: Path, eventually: Callable[..., None]
) -> None:
    context = tmp_path / "context"
    (context / "sent").mkdir(parents=True)
    for number in range(40):
        (context / f"sent/{number}.bin").write_bytes(os.urandom(100_000))
    (context / "Dockerfile").write_text(_DOCKERFILE.format(image=busybox))
    chance, serving = random.Random(_SEED), Serving(sandbox)
    command = DockerCommand(sandbox, serving.path)
    # Debian's, which speaks the protocol itself where there is no plugin
    command.env |= {"DOCKER_BUILDKIT": "1", "PATH": "/usr/bin:/bin"}

    def words(word: str) -> tuple[str, ...]:
        return ("build", "-t", f"made:{word}", "--build-arg", f"ROUND={word}", str(context))

    serving.start()
    began = time.monotonic()
    command.run(*words("first"))
    longest = time.monotonic() - began
    cut = 0
    for number in range(_ROUNDS):
        victim, moment = _VICTIMS[number % len(_VICTIMS)], chance.uniform(0, longest)
        where = f"round {number} of seed {_SEED}, {victim} killed after {moment:.3f} s"
        # changed files are sent anew
        (context / f"sent/{number}.bin").write_bytes(os.urandom(100_000))
        status = _disturbed(serving, command, words(str(number)), victim, moment, chance)
        cut += status != 0
        if victim == "server":
            serving.start()
        assert serving.process is not None
        # whoever built for it has seen that nobody waits
        server = serving.process.pid
        eventually(lambda server=server: not workers_of(server))
        checked = sandbox.run("system", "check", status=None)
        assert checked.status == 0, f"{where}: {checked.stdout}{checked.stderr}"
        made = sandbox.run("images", "--format", "{{.Tag}}", "made").lines
        assert status != 0 or str(number) in made, where
        if str(number) in made:
            assert command.lines("run", "--rm", "--network", "none", f"made:{number}") == [str(number)], where
        command.run(*words(f"{number}-again"))
        shown = command.lines("run", "--rm", "--network", "none", f"made:{number}-again")
        assert shown == [f"{number}-again"], where
    # else the moments were of no build
    assert cut > _ROUNDS / 4
    assert serving.end(signal.SIGTERM) == 0
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
    # what a killed one leaves goes with the next that makes it, or with this
    sandbox.run("image", "prune", "-f")
    assert "left over" not in sandbox.run("system", "check").stdout


def _disturbed(
    serving: Serving, command: DockerCommand, words: tuple[str, ...], victim: str, moment: float, chance: random.Random
) -> int:
    """The client's exit status."""
    # a session of its own: a plugin of the client's is killed with it
    with subprocess.Popen(
        ["docker", *words], env=command.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL, start_new_session=True,
    ) as client:  # fmt: skip
        with suppress(subprocess.TimeoutExpired):
            client.wait(moment)
        assert serving.process is not None
        if victim == "client":
            with suppress(ProcessLookupError):
                os.killpg(client.pid, signal.SIGKILL)
        elif victim == "server":
            assert serving.end(signal.SIGKILL) == -signal.SIGKILL
        elif victims := helpers_of(serving.process.pid):
            with suppress(ProcessLookupError):
                os.kill(chance.choice(victims), signal.SIGKILL)
        return client.wait(TIMEOUT_SECONDS)
