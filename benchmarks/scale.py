"""Listings over two hundred containers and a hundred images: beside the other engine, and beside the same over ten."""

from __future__ import annotations

import functools
import io
import statistics
import tarfile
from typing import TYPE_CHECKING

from benchmarks.report import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.engines import Engine

    ByTurns = Callable[[Sequence[Engine], int, Callable[[Engine], object]], dict[str, list[float]]]

#: containers and images of a large store, and of a small one
_LARGE, _SMALL = (200, 100), (10, 10)
#: times what it takes with ten
_GROWTH = 1.5
_LISTINGS = (("ps", "-a"), ("images",), ("system", "df"))
_RUNS = 12


def measure_scale(engines: Sequence[Engine], by_turns: ByTurns, *, quick: bool) -> list[Row]:
    """A row for each listing beside podman, and one beside itself over ten; completion beside itself alone."""
    large_size = _SMALL if quick else _LARGE
    large = [_filled(engine, "large", *large_size) for engine in engines]
    small = _filled(engines[0], "small", *_SMALL)._replace(name="ten")
    rows = []
    for words in _LISTINGS:
        taken = by_turns([*large, small], _RUNS, functools.partial(_list, words))
        work = f"`{' '.join(words)}` with {large_size[0]} containers, {large_size[1]} images"
        rows += [Row(work, "ms", taken, 1.0), _grown(work, taken)]
    taken = by_turns([large[0], small], _RUNS, _complete)
    return [*rows, _grown(f"`rm <TAB>`, {large_size[0]} containers", taken)]


def _list(words: Sequence[str], engine: Engine) -> None:
    engine.run(*words)


def _grown(work: str, taken: dict[str, list[float]]) -> Row:
    limit = _GROWTH * statistics.median(taken["ten"])
    return Row(f"{work}, at most {_GROWTH} times ten", "ms", {"sandbox": taken["sandbox"]}, limit=limit)


def _complete(engine: Engine) -> None:
    asked = {"_SANDBOX_COMPLETE": "complete_bash", "COMP_WORDS": "sandbox rm ", "COMP_CWORD": "2"}
    engine._replace(env={**engine.env, **asked}).run()


def _filled(engine: Engine, name: str, containers: int, images: int) -> Engine:
    """`engine` over a store of its own, with containers that never ran; every image has a layer of its own."""
    filled = engine.with_store(engine.home / name)
    archive = engine.home / f"{name}.tar"
    for number in range(images):
        _write_layer(archive, number)
        filled.run("import", str(archive), f"image-{number}:1")
    for number in range(containers):
        image = f"image-{number % images}:1"
        filled.run("create", "--name", f"one-{number}", "--network", "none", "-l", f"number={number}", image, "true")
    return filled


def _write_layer(path: Path, number: int) -> None:
    with tarfile.open(path, "w") as archive:
        for name in ("etc/number", "etc/other"):
            text = f"{name} {number}\n".encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
