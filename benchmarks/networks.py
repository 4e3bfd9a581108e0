"""A network with others on it: the second container and the fiftieth, bytes between two, and names.

Each engine makes a network of its own; the default of podman is none on which containers meet. Containers see the
host's /usr, where iperf3 and python3 are.
"""

from __future__ import annotations

import json
import statistics
import time
from typing import TYPE_CHECKING

from benchmarks.report import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.engines import Engine

    ByTurns = Callable[[int, Callable[[Engine], float]], dict[str, list[float]]]
    FirstByte = Callable[[Engine, str, Sequence[str]], float]

_NETWORK = "bench"
_MANY = 50
#: times what the second takes
_GROWTH = 1.3
_QUESTIONS = 5000
_GIGABYTES = 10
_HOST_PROGRAMS = ("-v", "/usr:/usr:ro", "-v", "/usr/lib:/lib:ro", "-v", "/usr/lib64:/lib64:ro")
#: one question after the other, of the server that resolv.conf names; prints the seconds that all took
_ASK = f"""
import socket, time
server = next(line.split()[1] for line in open("/etc/resolv.conf") if line.startswith("nameserver"))
question = b"\\1\\2\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\5other\\0\\0\\1\\0\\1"
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(5)
asking.connect((server, 53))
def ask():
    asking.send(question)
    return asking.recv(512)
assert ask()[3] & 15 == 0, "no such name"
began = time.perf_counter()
for _ in range({_QUESTIONS}):
    ask()
print(time.perf_counter() - began)
"""


def measure_networks(
    engines: Sequence[Engine], image: str, by_turns: ByTurns, first_byte: FirstByte, *, quick: bool
) -> list[Row]:
    """The rows. Raises RuntimeError where a program is missing or does not answer."""
    for engine in engines:
        engine.run("network", "create", _NETWORK)
        _start(engine, image, "other", "sleep", "3600")
    try:
        rows = list(_rows(engines, image, by_turns, first_byte, quick=quick))
    finally:
        for engine in engines:
            engine.remove_containers()
    for engine in engines:
        engine.wait_idle()
        engine.run("network", "rm", _NETWORK)
    return rows


def _rows(
    engines: Sequence[Engine], image: str, by_turns: ByTurns, first_byte: FirstByte, *, quick: bool
) -> Iterator[Row]:
    def second(engine: Engine) -> float:
        return first_byte(engine, image, ("--network", _NETWORK, "--name", "second"))

    yield Row("`run -d -p …` on a network with another container, to the first byte", "ms", by_turns(12, second), 0.4)
    names = by_turns(5, lambda engine: _ask_names(engine, image))
    yield Row(f"{_QUESTIONS:,} questions for a container's name, one after the other", "s", names, 1.0)
    between = by_turns(5, lambda engine: _send_bytes(engine, image, seconds=1 if quick else 5))
    yield Row(f"{_GIGABYTES} GB from one container to another", "s", between, 1.0)
    few = by_turns(12, lambda engine: _start_and_remove(engine, image))
    yield Row("`run -d` on a network with another container", "ms", few, 0.4)
    for engine in engines:
        for number in range(2, _MANY):
            _start(engine, image, f"one-of-many-{number}", "sleep", "3600")
    many = by_turns(12, lambda engine: _start_and_remove(engine, image))
    yield Row(f"`run -d` on a network, the {_MANY}th container", "ms", many, 0.4)
    limit = _GROWTH * statistics.median(few["sandbox"])
    yield Row(f"the same, at most {_GROWTH} times the second", "ms", {"sandbox": many["sandbox"]}, limit=limit)


def _start(engine: Engine, image: str, name: str, *words: str) -> None:
    engine.run("run", "-d", "--name", name, "--network", _NETWORK, image, *words)


def _start_and_remove(engine: Engine, image: str) -> float:
    began = time.perf_counter()
    _start(engine, image, "last", "sleep", "3600")
    taken = time.perf_counter() - began
    engine.remove("last")
    return taken


def _ask_names(engine: Engine, image: str) -> float:
    words = ("run", "--rm", "--network", _NETWORK, *_HOST_PROGRAMS, image, "/usr/bin/python3", "-c", _ASK)
    return float(engine.run(*words))


def _send_bytes(engine: Engine, image: str, *, seconds: int) -> float:
    engine.run("run", "-d", "--name", "sink", "--network", _NETWORK, *_HOST_PROGRAMS, image, "/usr/bin/iperf3", "-s")
    client = ("run", "--rm", "--network", _NETWORK, *_HOST_PROGRAMS, image)
    words = ("/usr/bin/iperf3", "-c", "sink", "-t", str(seconds), "-J")
    deadline = time.perf_counter() + 30
    try:
        while "sum_received" not in (end := json.loads(engine.run(*client, *words, check=False)).get("end", {})):
            if time.perf_counter() > deadline:
                raise RuntimeError(f"{engine.name}: iperf3 does not get through")
    finally:
        engine.remove("sink")
    rate: float = end["sum_received"]["bits_per_second"]
    return _GIGABYTES * 8e9 / rate
