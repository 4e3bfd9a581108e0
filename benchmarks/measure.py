"""The rows of docs/benchmarks.md, for both engines by turns: what else the machine does hits both.

usage: python -m benchmarks.measure --page FILE [--quick] [ROW...]
"""

from __future__ import annotations

import argparse
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks import api, builds, client, compose, files, looking, memory, networks, ports, scale
from benchmarks.engines import Engine, podman_engine, sandbox_engine
from benchmarks.image import SIX_LAYERS
from benchmarks.report import Row, write_page
from tests import images
from tests.registry import run_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROWS = (
    "run", "publish", "ports", "networks", "exec", "pull", "memory", "ps", "looking", "build-cached", "build-changed",
    "build-steps", "build-stages", "client", "files", "scale", "compose", "api",
)  # fmt: skip


_IDLE_SECONDS = 15.0


class Bench(NamedTuple):
    """What the rows work with; `small` and `large` are references in the registry."""

    engines: tuple[Engine, ...]
    small: str
    large: str
    quick: bool

    def times(self, count: int) -> int:
        return min(count, 3) if self.quick else count


def _by_turns(bench: Bench, count: int, once: Callable[[Engine], float]) -> dict[str, list[float]]:
    """`once` for each engine in turn, `count` times; a first round, which warms file caches, is thrown away."""
    taken: dict[str, list[float]] = {engine.name: [] for engine in bench.engines}
    for turn in range(bench.times(count) + 1):
        order = bench.engines if turn % 2 else bench.engines[::-1]
        for engine in order:
            seconds = once(engine)
            if turn:
                taken[engine.name].append(seconds)
    return taken


def _timed(engine: Engine, *arguments: str) -> float:
    start = time.perf_counter()
    engine.run(*arguments)
    return time.perf_counter() - start


def measure_run(bench: Bench) -> list[Row]:
    taken = _by_turns(bench, 20, lambda engine: _timed(engine, "run", "--rm", "--network", "none", bench.small, "true"))
    return [Row("`run --rm --network none busybox true`, cold", "ms", taken, 0.8)]


def measure_publish(bench: Bench) -> list[Row]:
    def once(engine: Engine) -> float:
        taken = _first_byte(engine, bench.small)
        engine.remove_containers()
        engine.wait_idle()
        return taken

    taken = _by_turns(bench, 12, once)
    return [Row("`run -d -p …` until the first HTTP byte, cold", "ms", taken, 1.0)]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _first_byte(engine: Engine, image: str, options: Sequence[str] = ()) -> float:
    port = _free_port()
    start = time.perf_counter()
    served = (image, "httpd", "-f", "-p", "80", "-h", "/etc")
    command = engine.argv("run", "-d", "-p", f"127.0.0.1:{port}:80", *options, *served)
    with subprocess.Popen(
        command, env=engine.env, cwd=engine.home, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        while not _answers(port):
            if process.poll() not in (None, 0) or time.perf_counter() - start > 60:
                raise RuntimeError(f"{engine.name}: no answer on port {port}")
            time.sleep(0.001)
        return time.perf_counter() - start


def _answers(port: int) -> bool:
    """Whether a byte of an HTTP answer comes; a forwarder that accepts before there is a server closes at once."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /passwd HTTP/1.0\r\n\r\n")
            return bool(connection.recv(1))
    except OSError:
        return False


def measure_ports(bench: Bench) -> list[Row]:
    return ports.measure_ports(bench.engines, bench.small, quick=bench.quick)


def measure_networks(bench: Bench) -> list[Row]:
    def second(engine: Engine, image: str, options: Sequence[str]) -> float:
        taken = _first_byte(engine, image, options)
        engine.remove("second")
        return taken

    return networks.measure_networks(
        bench.engines, bench.small, lambda count, once: _by_turns(bench, count, once), second, quick=bench.quick
    )


def measure_exec(bench: Bench) -> list[Row]:
    for engine in bench.engines:
        engine.run("run", "-d", "--name", "idle", "--network", "none", bench.small, "sleep", "3600")
    try:
        taken = _by_turns(bench, 20, lambda engine: _timed(engine, "exec", "idle", "true"))
    finally:
        for engine in bench.engines:
            engine.remove_containers()
    return [Row("`exec CONTAINER true`", "ms", taken, 1.0)]


def measure_pull(bench: Bench) -> list[Row]:
    stores = iter(range(10_000))

    def once(engine: Engine) -> float:
        # a store that is new, not one that was emptied: for minutes ext4 walks past the inodes of deleted files
        fresh = engine.with_store(engine.home / f"store-{next(stores)}")
        return _timed(fresh, "pull", "-q", *engine.pull_options, bench.large)

    taken = _by_turns(bench, 7, once)
    return [Row("`pull` of 160 MB, 6 layers, 23,000 files, into an empty store", "s", taken, 0.6)]


def measure_memory(bench: Bench) -> list[Row]:
    one: dict[str, list[float]] = {}
    twenty: dict[str, list[float]] = {}
    for engine in bench.engines:
        try:
            _start_servers(engine, bench.small, 1)
            total, lines = memory.proportional_bytes(engine.home)
            one[engine.name] = [total]
            print(f"{engine.name}, one container: {'; '.join(lines)}", file=sys.stderr)
            _start_servers(engine, bench.small, 19)
            total, _ = memory.proportional_bytes(engine.home)
            twenty[engine.name] = [total / 20]
        finally:
            engine.remove_containers()
    return [
        Row("memory (PSS) of one idle `-d -p` container", "MB", one, limit=25e6),
        Row("memory (PSS) of each of twenty", "MB", twenty, limit=6e6),
    ]


def _start_servers(engine: Engine, image: str, count: int) -> None:
    for _ in range(count):
        port = _free_port()
        engine.run("run", "-d", "-p", f"127.0.0.1:{port}:80", image, "httpd", "-f", "-p", "80", "-h", "/etc")
        deadline = time.perf_counter() + 30
        while not _answers(port) and time.perf_counter() < deadline:
            time.sleep(0.01)
    # idle: what serves connections may end when there are none
    time.sleep(_IDLE_SECONDS)


def measure_ps(bench: Bench) -> list[Row]:
    count = 10 if bench.quick else 100
    for engine in bench.engines:
        for number in range(count):
            engine.run("create", "--name", f"one-of-many-{number}", "--network", "none", bench.small, "true")
    try:
        taken = _by_turns(bench, 20, lambda engine: _timed(engine, "ps", "-a"))
    finally:
        for engine in bench.engines:
            engine.remove_containers()
    return [Row(f"`ps -a` with {count} containers", "ms", taken, 1.0)]


def measure_looking(bench: Bench) -> list[Row]:
    return looking.measure_looking(
        bench.engines, bench.small, lambda count, once: _by_turns(bench, count, once), 5 if bench.quick else 50
    )


def measure_client(bench: Bench) -> list[Row]:
    return client.measure_client(bench.small, lambda count, once: _by_turns(bench, count, once), bench.engines[0])


def measure_files(bench: Bench) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="sbx-", dir="/tmp") as place:
        return files.measure_files(
            bench.engines, bench.small, lambda count, once: _by_turns(bench, count, once), Path(place),
            quick=bench.quick,
        )  # fmt: skip


def measure_scale(bench: Bench) -> list[Row]:
    def by_turns(engines: Sequence[Engine], count: int, once: Callable[[Engine], object]) -> dict[str, list[float]]:
        def timed(engine: Engine) -> float:
            start = time.perf_counter()
            once(engine)
            return time.perf_counter() - start

        return _by_turns(bench._replace(engines=tuple(engines)), count, timed)

    return scale.measure_scale(bench.engines, by_turns, quick=bench.quick)


def measure_compose(bench: Bench) -> list[Row]:
    return compose.measure_compose(bench.engines, bench.small, quick=bench.quick)


def measure_api(bench: Bench) -> list[Row]:
    return api.measure_api(
        bench.engines, bench.small, lambda count, once: _by_turns(bench, count, once), quick=bench.quick
    )


def _builds(measure: Callable[[builds.BuildBench], list[Row]]) -> Callable[[Bench], list[Row]]:
    def measured(bench: Bench) -> list[Row]:
        with tempfile.TemporaryDirectory(prefix="sbx-", dir="/tmp") as place:
            return measure(
                builds.BuildBench(bench.small, Path(place), lambda count, once: _by_turns(bench, count, once))
            )

    return measured


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks/run")
    parser.add_argument("--page", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("rows", nargs="*", metavar="ROW")
    options = parser.parse_args(words)
    unknown = set(options.rows) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    cache = images.cache_directory()
    with run_registry() as registry, tempfile.TemporaryDirectory(prefix="sbx-", dir="/tmp") as place:
        small = registry.push(images.cached(cache, images.BUSYBOX), "busybox:latest")
        large = registry.push(images.cached(cache, SIX_LAYERS), "six-layers:latest")
        peer = podman_engine(Path(place) / "podman")
        engines = (sandbox_engine(Path(place) / "sandbox"), *((peer,) if isinstance(peer, Engine) else ()))
        notes = [] if isinstance(peer, Engine) else [f"podman was not measured: {peer}"]
        bench = Bench(engines, small, large, options.quick)
        try:
            for engine in engines:
                engine.pull(small)
            rows = _measure(bench, options.rows or ROWS, notes)
        finally:
            for engine in engines:
                engine.remove_containers()
                engine.close()
    write_page(options.page, rows, [engine.version for engine in engines], notes)
    return 0


def _measure(bench: Bench, names: Sequence[str], notes: list[str]) -> list[Row]:
    measures: dict[str, Callable[[Bench], list[Row]]] = {
        "run": measure_run, "publish": measure_publish, "ports": measure_ports, "networks": measure_networks,
        "exec": measure_exec, "pull": measure_pull, "memory": measure_memory, "ps": measure_ps,
        "looking": measure_looking,
        "build-cached": _builds(builds.measure_cached),
        "build-changed": _builds(builds.measure_changed), "build-steps": _builds(builds.measure_steps),
        "build-stages": _builds(builds.measure_stages), "client": measure_client,
        "files": measure_files, "scale": measure_scale, "compose": measure_compose,
        "api": measure_api,
    }  # fmt: skip
    rows: list[Row] = []
    for name in names:
        print(f"measuring {name}", file=sys.stderr)
        try:
            rows += measures[name](bench)
        except (RuntimeError, memory.UnreadableError) as error:
            # one row that cannot be had does not take the others with it; the page says so
            print(error, file=sys.stderr)
            notes.append(f"{name}: not measured: {str(error).splitlines()[0]}")
    return rows


def _end(_number: int, _frame: object) -> None:
    sys.exit(143)


if __name__ == "__main__":
    # registry, containers and places in /tmp are removed on the way out, also by a terminated run
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main(sys.argv[1:]))
