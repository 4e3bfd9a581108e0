"""Files of containers: `cp` of a large one both ways, and `commit` of few changes and of many."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from benchmarks.report import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.engines import Engine

    ByTurns = Callable[[int, Callable[[Engine], float]], dict[str, list[float]]]

_MEBIBYTE = 1 << 20
_HELD = "held"


def measure_files(
    engines: Sequence[Engine], image: str, by_turns: ByTurns, place: Path, *, quick: bool = False
) -> list[Row]:
    """The rows of `cp` and `commit`; what is copied lies in `place`, a directory. Times in s."""
    mebibytes, many = (16, 200) if quick else (512, 10_000)
    source = place / "source"
    with source.open("wb") as file:
        for _ in range(mebibytes):
            file.write(os.urandom(_MEBIBYTE))
    rows: list[Row] = []
    try:
        rows += _measure_copies(engines, image, by_turns, source, mebibytes)
        rows += _measure_commits(engines, image, by_turns, 3)
        rows += _measure_commits(engines, image, by_turns, many)
    finally:
        for engine in engines:
            engine.remove_containers()
    return rows


def _measure_copies(
    engines: Sequence[Engine], image: str, by_turns: ByTurns, source: Path, mebibytes: int
) -> list[Row]:
    for engine in engines:
        engine.run("run", "-d", "--name", _HELD, "--network", "none", image, "sleep", "3600")
        engine.run("cp", str(source), f"{_HELD}:/kept")

    def copy_out(engine: Engine) -> float:
        target = source.with_name(f"out-{engine.name}")
        taken = _timed(engine, "cp", f"{_HELD}:/kept", str(target))
        if target.stat().st_size != source.stat().st_size:
            raise RuntimeError(f"{engine.name}: the copy is not whole")
        target.unlink()
        return taken

    def copy_in(engine: Engine) -> float:
        taken = _timed(engine, "cp", str(source), f"{_HELD}:/taken")
        engine.run("exec", _HELD, "rm", "/taken")
        return taken

    return [
        Row(f"`cp` of {mebibytes} MB out of a container", "s", by_turns(5, copy_out), 1.0),
        Row(f"`cp` of {mebibytes} MB into a container", "s", by_turns(5, copy_in), 1.0),
    ]


def _measure_commits(engines: Sequence[Engine], image: str, by_turns: ByTurns, count: int) -> list[Row]:
    for engine in engines:
        engine.remove_containers()
    script = f"mkdir /made; i=0; while [ $i -lt {count} ]; do echo $i > /made/$i; i=$((i+1)); done; sleep 3600"
    for engine in engines:
        engine.run("run", "-d", "--name", _HELD, "--network", "none", image, "sh", "-c", script)
        _wait_made(engine, count)

    def commit(engine: Engine) -> float:
        # podman does not pause by itself
        taken = _timed(engine, "commit", "--pause=false", _HELD, "made:1")
        engine.run("rmi", "made:1")
        return taken

    return [Row(f"`commit` of {count:,} new files", "s", by_turns(5, commit), 1.0)]


def _wait_made(engine: Engine, count: int) -> None:
    deadline = time.perf_counter() + 60
    while time.perf_counter() < deadline:
        with suppress(RuntimeError):
            engine.run("exec", _HELD, "ls", f"/made/{count - 1}")
            return
    raise RuntimeError(f"{engine.name}: the files were not made")


def _timed(engine: Engine, *arguments: str) -> float:
    start = time.perf_counter()
    engine.run(*arguments)
    return time.perf_counter() - start
