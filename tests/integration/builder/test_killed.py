"""SIGKILL at any moment of a build or a pull: the next one is right, and nothing is wrong with the store.

The moments are drawn from a seed (SANDBOX_KILL_SEED) over the time an undisturbed one takes; a round that fails names
its number and its moment.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.integration.builder.conftest import load_layout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.command import Sandbox
    from tests.registry import Registry

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "seccomp"), pytest.mark.slow]

_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "3"))

#: each command's failure is the step's: any of them may be what is killed
_DOCKERFILE = """FROM busybox AS tools
COPY round /round
RUN set -e; mkdir -p /tools/bin; \\
  for i in $(seq 40); do cat /round > /tools/bin/tool$i; done; ln /tools/bin/tool1 /tools/one
FROM busybox AS data
COPY round /round
RUN --mount=type=cache,target=/cache cp /round /cache/last && seq 2000 > /numbers && rm /etc/group && cat /cache/last
FROM busybox
WORKDIR /app
COPY . /app
COPY --from=tools /tools /tools
COPY --from=data --chown=5:6 /numbers /numbers
RUN cat /tools/bin/* /numbers /app/round > /out && chmod 640 /out && ln -s /out /link
CMD ["sh", "-c", "find /tools /app /numbers /out /link | sort; cat /link | md5sum; stat -c '%a %u %g %s' /out /numbers"]
"""


def _rounds(normal: int, long: int) -> list[object]:
    return [
        pytest.param(normal, id=f"{normal} rounds"),
        pytest.param(long, id=f"{long} rounds", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ]


def _context(place: Path, number: int) -> Path:
    """A context in which every step of the round is a new one."""
    place.mkdir(exist_ok=True)
    (place / "Dockerfile").write_text(_DOCKERFILE)
    (place / "round").write_text(f"round {number}\n")
    return place


def _kill_some_time(
    sandbox: Sandbox, words: Sequence[str | Path], moment_seconds: float, chance: random.Random
) -> tuple[int, str]:
    """Start the command; at the moment kill it, or one of the processes that work for it; its status and talk."""
    with sandbox.spawn(*words, stdout=subprocess.DEVNULL) as command:
        try:
            command.wait(moment_seconds)
        except subprocess.TimeoutExpired:
            victim = command.pid
            if chance.random() < 0.4:
                helpers = [int(line.split()[0]) for line in leaks.processes_of(str(sandbox.home.root))]
                victim = chance.choice([pid for pid in helpers if pid != command.pid] or [command.pid])
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
        _output, talk = command.communicate(timeout=60)
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
    return command.returncode, talk.decode(errors="replace")


@pytest.mark.parametrize("rounds", _rounds(8, 100))
def test_a_build_that_is_killed(sandbox: Sandbox, busybox_layout: Path, tmp_path: Path, rounds: int) -> None:
    load_layout(sandbox, busybox_layout, "busybox")
    chance = random.Random(_SEED)
    words = ("build", "--network", "none", "-t", "app", tmp_path / "context")
    _context(tmp_path / "context", 0)
    start = time.monotonic()
    sandbox.run(*words)
    whole_seconds = time.monotonic() - start
    expected = sandbox.run("run", "--rm", "--network", "none", "app").stdout
    for number in range(1, rounds + 1):
        _context(tmp_path / "context", number)
        moment = chance.random() * whole_seconds
        where = f"round {number} of seed {_SEED}, killed after {moment:.3f} s"
        _status, talk = _kill_some_time(sandbox, words, moment, chance)
        assert "Traceback" not in talk, f"{where}: {talk}"
        _check(sandbox, where)
        built = sandbox.run(*words, status=None)
        assert built.status == 0, f"{where}: {built.stderr}"
        made = sandbox.run("run", "--rm", "--network", "none", "app").stdout
        assert _plain(made, number) == _plain(expected, 0), where
        _check(sandbox, where)
    # all that is left over goes, and nothing else with it
    assert "wrong" not in sandbox.run("system", "check", "--repair").stdout.replace("nothing is wrong", "")
    assert sandbox.run("system", "check").stdout.endswith("nothing is wrong\n")
    assert _plain(sandbox.run("run", "--rm", "--network", "none", "app").stdout, rounds) == _plain(expected, 0)


def _check(sandbox: Sandbox, where: str) -> None:
    checked = sandbox.run("system", "check", status=None)
    assert checked.status == 0, f"{where}: {checked.stdout}{checked.stderr}"


def _plain(text: str, number: int) -> list[str]:
    """The listing with what the round's own number changes taken out: the sum, and the size by its digits."""
    numbers = "".join(f"{i}\n" for i in range(1, 2001))
    out = f"round {number}\n" * 40 + numbers + f"round {number}\n"
    digest = hashlib.md5(out.encode()).hexdigest()
    return text.replace(digest, "SUM").replace(f"640 0 0 {len(out)}", "640 0 0 SIZE").splitlines()


_LAYERS = """FROM busybox
RUN mkdir /one && for i in $(seq 300); do echo $i > /one/$i; done
RUN mkdir /two && for i in $(seq 300); do ln /one/$i /two/$i; done && head -c 3000000 /dev/urandom > /two/random
RUN rm -r /one/1* && chown -R 5:6 /two && chmod 750 /two
RUN echo last > /last
"""


@pytest.fixture
def many_layers(sandbox: Sandbox, registry: Registry, busybox_layout: Path) -> str:
    """A reference, in `registry`, to an image of five layers; here there is nothing of it."""
    load_layout(sandbox, busybox_layout, "busybox")
    reference = f"{registry.host}/killed:latest"
    sandbox.run("build", "--network", "none", "-t", reference, "-", input=_LAYERS)
    sandbox.run("push", "-q", reference)
    sandbox.run("rmi", reference)
    return reference


@pytest.mark.requires("registry", "umoci", "busybox")
@pytest.mark.parametrize("rounds", _rounds(5, 40))
def test_a_pull_that_is_killed(sandbox: Sandbox, many_layers: str, rounds: int) -> None:
    chance = random.Random(_SEED)
    start = time.monotonic()
    sandbox.run("pull", "-q", many_layers)
    whole_seconds = time.monotonic() - start
    script = "find /one /two /last -exec stat -c '%n %a %u %g %h %s' {} + | sort; cat /two/* | md5sum"
    listing = ("run", "--rm", "--network", "none", many_layers, "sh", "-c", script)
    expected = sandbox.run(*listing).stdout
    for number in range(1, rounds + 1):
        sandbox.run("rmi", many_layers)
        moment = chance.random() * whole_seconds
        where = f"round {number} of seed {_SEED}, killed after {moment:.3f} s"
        _status, talk = _kill_some_time(sandbox, ("pull", many_layers), moment, chance)
        assert "Traceback" not in talk, f"{where}: {talk}"
        _check(sandbox, where)
        pulled = sandbox.run("pull", "-q", many_layers, status=None)
        assert pulled.status == 0, f"{where}: {pulled.stderr}"
        assert sandbox.run(*listing).stdout == expected, where
    _check(sandbox, "at the end")
