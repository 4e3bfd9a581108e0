"""Containers by a program: `sandbox.Client`, whose calls go through its prepared process, beside podman's commands.

usage: python -m benchmarks.client IMAGE    one round for each line of standard input, its seconds printed
"""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import sandbox
from benchmarks.report import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benchmarks.engines import Engine

    Measured = dict[str, list[float]]
    ByTurns = Callable[[int, Callable[[Engine], float]], Measured]

_COMMAND = ("sleep", "3600")


def measure_client(small: str, by_turns: ByTurns, engine: Engine) -> list[Row]:
    """The rows of one container's life, by calls and by commands; `engine` is sandbox's."""
    with _program(engine, small) as ask:

        def once(other: Engine) -> float:
            return ask() if other.name == engine.name else _by_commands(other, small)

        called = by_turns(15, once)
    commanded = by_turns(15, lambda other: _by_commands(other, small))
    return [
        Row("create, start, stop, remove by `sandbox.Client` (podman: by four commands)", "ms", called, 1.0),
        Row("`create`, `start`, `stop`, `rm`", "ms", commanded, 1.0),
    ]


def _by_commands(engine: Engine, image: str) -> float:
    start = time.perf_counter()
    options = ("--network", "none", "--stop-signal", "KILL")
    name = engine.run("create", *options, image, *_COMMAND).strip()
    for verb in ("start", "stop", "rm"):
        engine.run(verb, name)
    return time.perf_counter() - start


@contextmanager
def _program(engine: Engine, image: str) -> Iterator[Callable[[], float]]:
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.client", image],
        env={**engine.env, "PYTHONPATH": ":".join(sys.path)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip

        def ask() -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            said = process.stdout.readline()
            if not said:
                raise RuntimeError("the program that calls sandbox ended")
            return float(said)

        yield ask


def main(image: str) -> None:
    """Serve rounds until the input ends."""
    with sandbox.Client() as box:
        for _line in sys.stdin:
            start = time.perf_counter()
            container = box.containers.create(image, list(_COMMAND), network_mode="none", stop_signal="KILL")
            container.start()
            container.stop()
            container.remove()
            print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
