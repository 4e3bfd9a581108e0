"""Published ports: bytes, connections and requests a second, from the host into a container.

Three forwards by turns: sandbox's own on a bridge network, slirp4netns' own on a private one (`--network slirp4netns`),
and podman's, which for an unprivileged user is RootlessKit's builtin driver. Servers and clients are the host's iperf3,
nginx and wrk; containers see the host's /usr. Rates are told as times, so that less is better in every row.
"""

from __future__ import annotations

import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.report import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.engines import Engine

_PROGRAMS = {"iperf3": "iperf3", "wrk": "wrk", "nginx": "nginx-light"}
_CONNECTIONS = 32
_NGINX = """user root; daemon off; master_process off; pid /tmp/nginx.pid; error_log /dev/null;
worker_rlimit_nofile 10000;
events { worker_connections 9000; }
http {
  access_log off; keepalive_requests 100000000;
  client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c; uwsgi_temp_path /tmp/d;
  scgi_temp_path /tmp/e;
  server { listen 8080 backlog=4096; location / { return 200 "hello\\n"; } }
}
"""


class Forward(NamedTuple):
    """One way of publishing ports; `seconds` is how long each of its measures takes."""

    name: str
    engine: Engine
    options: tuple[str, ...]
    seconds: int


class Ports(NamedTuple):
    """The host's ports of iperf3 and nginx in the container of one forward."""

    bytes_port: int
    requests_port: int


def measure_ports(engines: Sequence[Engine], image: str, *, quick: bool) -> list[Row]:
    """The rows. Raises RuntimeError where a program is missing or does not answer."""
    for program, package in _PROGRAMS.items():
        if _path(program) is None:
            raise RuntimeError(f"{program} is not installed (package {package})")
    forwards = list(_forwards(engines, 1 if quick else 5))
    taken: dict[str, dict[str, list[float]]] = {work: {} for work in _WORKS}
    with tempfile.TemporaryDirectory(prefix="sbx-", dir="/tmp") as place:
        Path(place, "nginx.conf").write_text(_NGINX)
        for turn in range(1 if quick else 5):
            # one container at a time: idle ones of others cost what they cost
            for forward in forwards if turn % 2 else forwards[::-1]:
                ports = _start(forward, image, place)
                try:
                    for work, measure in _WORKS.items():
                        taken[work].setdefault(forward.name, []).append(measure(forward, ports))
                finally:
                    forward.engine.remove_containers()
                    forward.engine.wait_idle()
    return list(_rows(taken))


def _forwards(engines: Sequence[Engine], seconds: int) -> Iterator[Forward]:
    for engine in engines:
        if engine.name == "sandbox":
            yield Forward("sandbox", engine, ("--network", "bridge"), seconds)
            yield Forward("slirp4netns", engine, ("--network", "slirp4netns"), seconds)
        else:
            yield Forward(engine.name, engine, (), seconds)


def _rows(taken: dict[str, dict[str, list[float]]]) -> Iterator[Row]:
    for work, ratio, of_slirp in (
        ("upload", 1.0, 1 / 1.6),
        ("download", 1.0, 1 / 3),
        ("connections", 1 / 1.4, None),
        ("connections-p99", 1.0, None),
        ("requests", 1.0, None),
    ):
        found = taken[work]
        shown = {name: values for name, values in found.items() if name != "slirp4netns"}
        yield Row(_TITLES[work], "ms" if work == "connections-p99" else "s", shown, round(ratio, 2))
        slirp = statistics.median(found["slirp4netns"])
        print(f"{work} by slirp4netns' own forward: {slirp:.4f} s", file=sys.stderr)
        if of_slirp is not None:
            title = f"the same, at most {of_slirp:.2f} of slirp4netns' forward ({slirp:.1f} s)"
            yield Row(title, "s", {"sandbox": found["sandbox"]}, limit=slirp * of_slirp)


_TITLES = {
    "upload": "10 GB into a published port",
    "download": "10 GB out of a published port",
    "connections": f"100,000 connections to a published port, {_CONNECTIONS} at once",
    "connections-p99": "the slowest hundredth of them, at least",
    "requests": f"1,000,000 requests on {_CONNECTIONS} connections that stay",
}


def _start(forward: Forward, image: str, place: str) -> Ports:
    ports = Ports(_free_port(), _free_port())
    mounts = ("/usr:/usr", "/usr/lib:/lib", "/usr/lib64:/lib64", f"{place}:/configuration")
    options = [*forward.options, *(word for mount in mounts for word in ("-v", f"{mount}:ro"))]
    for port, inside, words in (
        (ports.bytes_port, 5201, ("/usr/bin/iperf3", "-s")),
        (ports.requests_port, 8080, (_path("nginx") or "nginx", "-c", "/configuration/nginx.conf", "-e", "/dev/null")),
    ):
        forward.engine.run("run", "-d", "-p", f"127.0.0.1:{port}:{inside}", *options, image, *words)
    deadline = time.perf_counter() + 30
    while not _answers(ports.requests_port):
        if time.perf_counter() > deadline:
            raise RuntimeError(f"{forward.name}: no answer on port {ports.requests_port}")
        time.sleep(0.01)
    return ports


def _measure_bytes(*options: str) -> Callable[[Forward, Ports], float]:
    def measure(forward: Forward, ports: Ports) -> float:
        words = ("iperf3", "-c", "127.0.0.1", "-p", str(ports.bytes_port), "-t", str(forward.seconds), "-J", *options)
        deadline = time.perf_counter() + 30 + forward.seconds
        # iperf3 needs both ends: a forward that accepts before there is a server is an error of its own
        while "sum_received" not in (end := json.loads(_output(words, may_fail=True)).get("end", {})):
            if time.perf_counter() > deadline:
                raise RuntimeError(f"{forward.name}: iperf3 does not get through")
            time.sleep(0.05)
        rate: float = end["sum_received"]["bits_per_second"]
        return 8e10 / rate

    return measure


def _measure_connections(forward: Forward, ports: Ports) -> float:
    return 100_000 / _requests_a_second(_wrk(forward, ports, "-H", "Connection: close"))


def _measure_slowest(forward: Forward, ports: Ports) -> float:
    words = _wrk(forward, ports, "--latency", "-H", "Connection: close").split()
    text = words[words.index("99%") + 1]
    for unit, seconds in (("us", 1e-6), ("ms", 1e-3), ("s", 1.0)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * seconds
    raise RuntimeError(f"wrk told {text!r}")


def _measure_requests(forward: Forward, ports: Ports) -> float:
    return 1_000_000 / _requests_a_second(_wrk(forward, ports))


_WORKS: dict[str, Callable[[Forward, Ports], float]] = {
    "upload": _measure_bytes(),
    "download": _measure_bytes("-R"),
    "connections": _measure_connections,
    "connections-p99": _measure_slowest,
    "requests": _measure_requests,
}


def _wrk(forward: Forward, ports: Ports, *options: str) -> str:
    load = ("-t1", f"-c{_CONNECTIONS}", f"-d{forward.seconds}s")
    return _output(("wrk", *load, *options, f"http://127.0.0.1:{ports.requests_port}/"))


def _requests_a_second(told: str) -> float:
    words = told.split()
    return float(words[words.index("Requests/sec:") + 1])


def _output(words: Sequence[str], *, may_fail: bool = False) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode and not may_fail:
        raise RuntimeError(f"{words[0]}: {done.returncode}: {done.stderr.strip() or done.stdout.strip()[-200:]}")
    return done.stdout


def _path(program: str) -> str | None:
    return shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return bool(connection.recv(1))
    except OSError:
        return False
