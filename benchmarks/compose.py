"""Projects of Compose files beside podman-compose and podman: brought up, left as they are, scaled, taken down."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.report import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.engines import Engine

_SERVICES, _REPLICAS = 10, 50
_RUNS = 5
#: ends at once when it is asked to, as pid 1 would not by itself
_SERVE = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"]


def find_podman_compose() -> str | None:
    """Its program: beside this Python, or in PATH."""
    beside = Path(sys.executable).parent / "podman-compose"
    return str(beside) if beside.exists() else shutil.which("podman-compose")


def measure_compose(engines: Sequence[Engine], image: str, *, quick: bool) -> list[Row]:
    """Rows for ten services, and for many containers of one. Raises RuntimeError."""
    program = find_podman_compose()
    if program is None and len(engines) > 1:
        raise RuntimeError("podman-compose is not installed: pip install podman-compose")
    services, replicas = (3, 5) if quick else (_SERVICES, _REPLICAS)
    many = [_composer(engine, program, "many", [f"s{number}" for number in range(services)], image)
            for engine in engines]  # fmt: skip
    one = [_composer(engine, program, "one", ["s"], image) for engine in engines]
    up, again, down, scaled = (dict[str, list[float]]() for _ in range(4))
    for turn in range(3 if quick else _RUNS + 1):
        for composer in many if turn % 2 else many[::-1]:
            _add(up, turn, composer, "up", "-d")
            _add(again, turn, composer, "up", "-d")
            _add(down, turn, composer, "down")
    for turn in range(2):
        for engine, composer in zip(engines, one, strict=True):
            _add(scaled, turn, composer, "up", "-d", "--scale", f"s={replicas}")
            composer.run("down")
            # podman-compose takes down the first of them alone, and would find the others there
            engine.remove_containers()
    return [
        Row(f"`compose up -d` of {services} services", "ms", up, 0.5),
        Row("the same again, where nothing has changed", "ms", again, 0.2),
        Row(f"`compose down` of {services} services", "ms", down, 0.5),
        Row(f"`compose up -d` of {replicas} containers of one service", "ms", scaled, 0.5),
    ]


def _add(taken: dict[str, list[float]], turn: int, composer: Engine, *words: str) -> None:
    """Time it; the first round, which warms file caches, is thrown away."""
    start = time.perf_counter()
    composer.run(*words)
    if turn:
        taken.setdefault(composer.name, []).append(time.perf_counter() - start)


def _composer(engine: Engine, program: str | None, name: str, services: Sequence[str], image: str) -> Engine:
    """The engine's own way to bring up a file with these services."""
    directory = engine.home / name
    directory.mkdir()
    file = directory / "compose.yaml"
    each = "".join(f"  {service}: {{image: {image!r}, command: {_SERVE!r}}}\n" for service in services)
    file.write_text(f"services:\n{each}")
    words = (*engine.words, "compose") if engine.name == "sandbox" or program is None else (program,)
    return engine._replace(words=(*words, "-f", str(file)))
