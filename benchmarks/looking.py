"""What it takes to look at fifty running containers: ps, inspect, stats."""

from __future__ import annotations

import resource
import time
from typing import TYPE_CHECKING

from benchmarks.report import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.engines import Engine

    ByTurns = Callable[[int, Callable[[Engine], float]], dict[str, list[float]]]


#: of one reading, of which `stats --no-stream` takes two and starts a program besides
_READING_SECONDS = 0.05


def measure_looking(engines: Sequence[Engine], image: str, by_turns: ByTurns, count: int) -> list[Row]:
    """The rows, with `count` containers of `image` in each engine. Times in s: of processors for `stats`."""
    names = [f"seen-{number}" for number in range(count)]
    try:
        for engine in engines:
            for name in names:
                engine.run("run", "-d", "--name", name, "--network", "none", image, "sleep", "3600")
        listed = by_turns(12, lambda engine: _elapsed(engine, "ps"))
        inspected = by_turns(8, lambda engine: _elapsed(engine, "inspect", *names))
        read = by_turns(8, lambda engine: _processor_time(engine, "stats", "--no-stream"))
        return [
            Row(f"`ps` with {count} running", "ms", listed, 1.0),
            Row(f"`inspect` of {count} running", "ms", inspected, 1.0),
            Row(
                f"`stats --no-stream` of {count} running, time of processors",
                "ms",
                {name: seconds for name, seconds in read.items() if min(seconds) > 0},
                limit=3 * _READING_SECONDS,
            ),
        ]
    finally:
        for engine in engines:
            engine.remove_containers()


def _elapsed(engine: Engine, *arguments: str) -> float:
    start = time.perf_counter()
    engine.run(*arguments)
    return time.perf_counter() - start


def _processor_time(engine: Engine, *arguments: str) -> float:
    """0 where the engine cannot do it here: podman's `stats` wants cgroups of version 2."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        engine.run(*arguments)
    except RuntimeError:
        return 0.0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
