"""Builds, beside `buildah bud --layers`: all cached, one file changed, nothing cached, two stages at once."""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.report import Row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from benchmarks.engines import Engine

    ByTurns = Callable[[int, Callable[[Engine], float]], dict[str, list[float]]]

_FILES, _DIRECTORIES = 20_000, 200


class BuildBench(NamedTuple):
    """What builds work with: a base's reference, a new directory, and who has each engine do something in turn."""

    base: str
    place: Path
    by_turns: ByTurns


def measure_cached(bench: BuildBench) -> list[Row]:
    context = _twelve_steps(bench)
    taken = bench.by_turns(12, lambda engine: _build(engine, context))
    return [Row("`build` of 12 steps, all cached", "ms", taken, 0.3)]


def measure_steps(bench: BuildBench) -> list[Row]:
    context = _twelve_steps(bench)
    taken = bench.by_turns(5, lambda engine: _build(engine, context, "--no-cache"))
    return [Row("`build --no-cache` of 12 steps, 6 of them RUN", "s", taken, 0.8)]


def measure_changed(bench: BuildBench) -> list[Row]:
    # a context for each engine: the same file is changed for both, and neither reads what the other warmed
    contexts: dict[str, Path] = {}
    rounds = iter(range(1_000_000))

    def once(engine: Engine) -> float:
        if engine.name not in contexts:
            contexts[engine.name] = _many_files(bench, engine.name)
            _build(engine, contexts[engine.name])
        (contexts[engine.name] / "007" / "7").write_text(f"changed {next(rounds)}")
        return _build(engine, contexts[engine.name])

    taken = bench.by_turns(5, once)
    return [Row(f"`build` after one of {_FILES:,} files changed", "s", taken, 0.5)]


def measure_stages(bench: BuildBench) -> list[Row]:
    context = bench.place / "stages"
    context.mkdir(exist_ok=True)
    (context / "Dockerfile").write_text(
        f"FROM {bench.base} AS one\nRUN sleep 5 && echo 1 > /one\n"
        f"FROM {bench.base} AS two\nRUN sleep 5 && echo 2 > /two\n"
        f"FROM {bench.base}\nCOPY --from=one /one /\nCOPY --from=two /two /\n"
    )
    taken = bench.by_turns(3, lambda engine: _build(engine, context, "--no-cache", jobs=2))
    return [Row("`build` of two independent stages of 5 s each", "s", taken, limit=7.0)]


def _build(engine: Engine, context: Path, *options: str, jobs: int = 1) -> float:
    if engine.name == "podman":
        program = shutil.which("buildah")
        if program is None:
            raise RuntimeError("buildah is not installed")
        more = (*engine.pull_options, f"--jobs={jobs}") if jobs > 1 else engine.pull_options
        engine = engine._replace(words=(program, "bud", "--layers", *more))
    else:
        engine = engine._replace(words=(*engine.words, "build"))
    start = time.perf_counter()
    engine.run("-t", "measured", *options, str(context))
    return time.perf_counter() - start


def _twelve_steps(bench: BuildBench) -> Path:
    context = bench.place / "steps"
    context.mkdir(exist_ok=True)
    for name in "abc":
        (context / f"{name}.txt").write_text(name)
    (context / "Dockerfile").write_text(
        f"FROM {bench.base}\nENV STAGE=build\nWORKDIR /app\nCOPY a.txt .\nRUN echo 1 > /one\nRUN echo 2 > /two\n"
        "COPY b.txt .\nRUN mkdir /d && echo 3 > /d/three\nRUN echo 4 > /four\nRUN rm /one\nCOPY c.txt .\n"
        "RUN cat *.txt > /all\n"
    )
    return context


def _many_files(bench: BuildBench, name: str) -> Path:
    context = bench.place / f"files-{name}"
    for directory in range(_DIRECTORIES):
        (context / f"{directory:03}").mkdir(parents=True)
        for number in range(_FILES // _DIRECTORIES):
            (context / f"{directory:03}" / str(number)).write_text(f"{directory} {number}\n" * 100)
    (context / "Dockerfile").write_text(f"FROM {bench.base}\nCOPY . /src\n")
    return context
