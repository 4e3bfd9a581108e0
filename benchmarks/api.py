"""Docker's Engine API: `sandbox api serve` beside `podman system service`, asked by the same plain client."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks.report import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from benchmarks.engines import Engine

    ByTurns = Callable[[int, Callable[[Engine], float]], dict[str, list[float]]]

_MANY = 100
_LINE = "x" * 99
_LOG_BYTES = 100_000_000
_SECONDS = 600.0


class _Client(http.client.HTTPConnection):
    """One connection to a server at a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("engine", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)

    def ask(self, method: str, path: str, document: object = None) -> Any:  # Any: JSON
        """The document that is answered. Raises RuntimeError."""
        body = None if document is None else json.dumps(document)
        self.request(method, f"/v1.41{path}", body, {"Content-Type": "application/json"})
        answer = self.getresponse()
        data = answer.read()
        if answer.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer.status}: {data[:200]!r}")
        return json.loads(data) if data.strip() else None


class _Served:
    """An engine with its server."""

    def __init__(self, engine: Engine, image: str) -> None:
        self._engine = engine
        self._image = image
        self._path = str(engine.home / "run/bench.sock")
        self._server: subprocess.Popen[bytes] | None = None
        self.client = _Client(self._path)

    def start(self) -> float:
        """Start the server; the seconds to its first answer."""
        words = (
            ("api", "serve", "--socket", self._path)
            if self._engine.name == "sandbox"
            else ("system", "service", "--time=0", f"unix://{self._path}")
        )
        start = time.perf_counter()
        self._server = subprocess.Popen(
            self._engine.argv(*words), env=self._engine.env, cwd=self._engine.home, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while not self._answers():
            if self._server.poll() is not None or time.perf_counter() - start > _SECONDS:
                raise RuntimeError(f"{self._engine.name}: its server does not answer")
            time.sleep(0.001)
        return time.perf_counter() - start

    def _answers(self) -> bool:
        try:
            self.client = _Client(self._path)
            self.client.request("GET", "/_ping")
            return self.client.getresponse().read() == b"OK"
        except OSError:
            return False

    def end(self) -> None:
        """End the server."""
        self.client.close()
        if self._server is not None:
            self._server.terminate()
            self._server.wait()
            self._server = None

    def restart(self) -> float:
        """As `start`, of a server that is not there."""
        self.end()
        return self.start()

    def create(self, *words: str, **more: object) -> str:
        """A container's id."""
        body: Mapping[str, object] = {
            "Image": self._image, "Cmd": words, "HostConfig": {"NetworkMode": "none"}, **more,
        }  # fmt: skip
        return str(self.client.ask("POST", "/containers/create", body)["Id"])

    def remove(self, container: str) -> None:
        self.client.ask("DELETE", f"/containers/{container}?force=1")

    def list_all(self) -> float:
        """The seconds that a list takes."""
        start = time.perf_counter()
        found = self.client.ask("GET", "/containers/json?all=1")
        taken = time.perf_counter() - start
        if len(found) != _MANY:
            raise RuntimeError(f"{self._engine.name}: {len(found)} containers")
        return taken

    def live(self) -> float:
        """The seconds of one container's life."""
        start = time.perf_counter()
        container = self.create("true")
        self.client.ask("POST", f"/containers/{container}/start")
        self.client.ask("POST", f"/containers/{container}/wait")
        self.client.ask("DELETE", f"/containers/{container}")
        return time.perf_counter() - start

    def execute(self, container: str) -> float:
        """The seconds of one command, to the last byte that it writes."""
        start = time.perf_counter()
        body = {"Cmd": ["echo", "hi"], "AttachStdout": True, "AttachStderr": True}
        made = self.client.ask("POST", f"/containers/{container}/exec", body)["Id"]
        streaming = _Client(self._path)
        streaming.request("POST", f"/v1.41/exec/{made}/start", "{}", {"Content-Type": "application/json"})
        if not streaming.getresponse().read().endswith(b"hi\n"):
            raise RuntimeError(f"{self._engine.name}: exec does not say what it should")
        streaming.close()
        if self.client.ask("GET", f"/exec/{made}/json")["ExitCode"] != 0:
            raise RuntimeError(f"{self._engine.name}: exec failed")
        return time.perf_counter() - start

    def read_log(self, container: str, least: int) -> float:
        """The seconds until the whole log is here."""
        start = time.perf_counter()
        self.client.request("GET", f"/v1.41/containers/{container}/logs?stdout=1&stderr=1")
        answer, size = self.client.getresponse(), 0
        while data := answer.read(1 << 18):
            size += len(data)
        if size < least:
            raise RuntimeError(f"{self._engine.name}: {size} bytes of {least}")
        return time.perf_counter() - start


def measure_api(engines: Sequence[Engine], image: str, by_turns: ByTurns, *, quick: bool) -> list[Row]:
    """The rows. Raises RuntimeError where a server does not answer as it should."""
    with _served(engines, image) as served:
        return list(_rows(served, by_turns, 10_000_000 if quick else _LOG_BYTES))


@contextmanager
def _served(engines: Sequence[Engine], image: str) -> Iterator[dict[str, _Served]]:
    served = {engine.name: _Served(engine, image) for engine in engines}
    try:
        for each in served.values():
            each.start()
        yield served
    finally:
        for each in served.values():
            each.end()
        for engine in engines:
            engine.remove_containers()


def _rows(served: dict[str, _Served], by_turns: ByTurns, log_bytes: int) -> Iterator[Row]:
    first = by_turns(12, lambda engine: served[engine.name].restart())
    yield Row("server of the Engine API, from its start to its first answer", "ms", first, 0.5)
    lives = by_turns(20, lambda engine: served[engine.name].live())
    yield Row("create, start, wait, remove by the Engine API", "ms", lives, 1.0)

    idle = {name: each.create("sleep", "3600") for name, each in served.items()}
    for name, each in served.items():
        each.client.ask("POST", f"/containers/{idle[name]}/start")
    execs = by_turns(20, lambda engine: served[engine.name].execute(idle[engine.name]))
    yield Row("exec by the Engine API", "ms", execs, 1.0)
    for name, each in served.items():
        each.remove(idle[name])

    wrote = {name: each.create("sh", "-c", f"yes {_LINE} | head -c {log_bytes}") for name, each in served.items()}
    for name, each in served.items():
        each.client.ask("POST", f"/containers/{wrote[name]}/start")
        each.client.ask("POST", f"/containers/{wrote[name]}/wait")
    logs = by_turns(5, lambda engine: served[engine.name].read_log(wrote[engine.name], log_bytes))
    yield Row(f"log of {log_bytes // 1_000_000} MB by the Engine API", "s", logs, 1.0)
    for name, each in served.items():
        each.remove(wrote[name])

    for each in served.values():
        for _number in range(_MANY):
            each.create("true")
    lists = by_turns(20, lambda engine: served[engine.name].list_all())
    yield Row(f"`GET /containers/json` with {_MANY} containers", "ms", lists, 1.0)
