"""SIGKILL of the server, or of a process that works for it, in the middle of a request: nothing half-made stays, and
the next server goes on at the same path.

The moments are drawn from a seed (SANDBOX_KILL_SEED); a round that fails names its number and its moment.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import socket as sockets
import tarfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests import leaks
from tests.integration.api.conftest import TIMEOUT_SECONDS

if TYPE_CHECKING:
    import subprocess

    from tests.command import Sandbox
    from tests.registry import Registry

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "busybox", "registry"), pytest.mark.slow]
_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "3"))
_LONGEST_SECONDS = 0.6
_KINDS = ("start", "build", "archive", "create", "exec", "pull")


class _Serving:
    """A server at a path, which is killed and started again."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.path = f"{sandbox.home.runtime}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        read_fd, write_fd = os.pipe()
        self.process = self._sandbox.spawn(
            "api", "serve", "--socket", self.path, "--ready-fd", str(write_fd), pass_fds=(write_fd,), stderr=None
        )
        os.close(write_fd)
        with open(read_fd, "rb") as told:
            assert told.read() == b"listening"

    def end(self, number: int) -> int:
        """Its exit status after the signal; all that worked for it has ended then."""
        assert self.process is not None
        assert self.process.stdout is not None
        own = _helpers(self.process.pid)
        self.process.send_signal(number)
        status = self.process.wait(TIMEOUT_SECONDS)
        self.process.stdout.close()
        for pid in own:
            leaks.wait_ended(pid)
        return status

    def ask(self, method: str, target: str, body: bytes = b"", status: int | None = None) -> Any:
        """The document that is answered. Fails the test where the status is another; None takes any."""
        with self.send(method, target, body) as connection:
            answer = b""
            while data := connection.recv(65536):
                answer += data
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert status in (None, int(head.split(b" ", 2)[1])), answer
        return json.loads(rest) if rest.startswith((b"{", b"[")) and b"chunked" not in head else None

    def send(self, method: str, target: str, body: bytes = b"") -> sockets.socket:
        """A connection on which the request is on its way."""
        connection = sockets.socket(sockets.AF_UNIX)
        connection.settimeout(TIMEOUT_SECONDS)
        connection.connect(self.path)
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return connection


def _children(pid: int) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]
    return []


def _helpers(server: int) -> list[int]:
    """The prepared process and its workers; what these start, monitors of containers, goes on by itself."""
    prepared = _children(server)
    return [*prepared, *(worker for each in prepared for worker in _children(each))]


def _tar(files: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


_CREATE = json.dumps(
    {"Image": "busybox", "Cmd": ["sleep", "1000"], "HostConfig": {"NetworkMode": "none"}, "StopSignal": "KILL"}
).encode()
_EXEC = json.dumps({"Cmd": ["sh", "-c", "echo hi; sleep 0.1"], "AttachStdout": True}).encode()
_DOCKERFILE = b"FROM busybox\nRUN for i in 1 2 3 4 5 6 7 8 9; do echo $i > /$i; done\nRUN echo two > /two\n"


def _request(serving: _Serving, kind: str, remote: str) -> tuple[str, str, bytes]:
    """Method, target and body; what it needs is made first."""
    if kind == "create":
        return "POST", "/containers/create?name=victim", _CREATE
    if kind == "start":
        serving.ask("POST", "/containers/create?name=victim", _CREATE, 201)
        return "POST", "/containers/victim/start", b""
    if kind == "exec":
        made = serving.ask("POST", "/containers/steady/exec", _EXEC, 201)["Id"]
        return "POST", f"/exec/{made}/start", b"{}"
    if kind == "archive":
        return "PUT", "/containers/steady/archive?path=/", _tar({f"many/{n}": b"x" * 2000 for n in range(300)})
    if kind == "build":
        return "POST", "/build?t=made&nocache=1&networkmode=none", _tar({"Dockerfile": _DOCKERFILE})
    return "POST", f"/images/create?fromImage={quote(remote)}", b""


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(3, id="3 rounds"),
        pytest.param(100, id="100 rounds", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ],
)
def test_nothing_half_made_stays(sandbox: Sandbox, busybox: str, registry: Registry, rounds: int) -> None:
    remote = f"{registry.host}/pulled:1"
    for words in (("tag", busybox, remote), ("push", "-q", remote), ("rmi", remote)):
        sandbox.run(*words)
    chance, serving = random.Random(_SEED), _Serving(sandbox)
    serving.start()
    serving.ask("POST", "/containers/create?name=steady", _CREATE, 201)
    serving.ask("POST", "/containers/steady/start", status=204)
    for number in range(rounds):
        kind, moment = _KINDS[number % len(_KINDS)], chance.uniform(0, _LONGEST_SECONDS)
        where = f"round {number} of seed {_SEED}, {kind} killed after {moment:.3f} s"
        with serving.send(*_request(serving, kind, remote)) as connection:
            connection.settimeout(moment)
            with suppress(TimeoutError, ConnectionResetError):
                while connection.recv(65536):
                    pass
            assert serving.process is not None
            victims = _helpers(serving.process.pid)
            if victims and chance.random() < 0.4:
                with suppress(ProcessLookupError):
                    os.kill(chance.choice(victims), signal.SIGKILL)
                # the server itself goes on
                serving.ask("GET", "/containers/json", status=200)
            assert serving.end(signal.SIGKILL) == -signal.SIGKILL, where
        serving.start()
        names = [name for each in serving.ask("GET", "/containers/json?all=1", status=200) for name in each["Names"]]
        assert set(names) - {"/victim"} == {"/steady"}, where
        assert serving.ask("GET", "/containers/steady/json", status=200)["State"]["Running"], where
        serving.ask("DELETE", "/containers/victim?force=1", status=204 if "/victim" in names else 404)
        checked = sandbox.run("system", "check", status=None)
        assert checked.status == 0, f"{where}: {checked.stdout}{checked.stderr}"
    # what was cut short can be done
    serving.ask("POST", f"/images/create?fromImage={quote(remote)}", status=200)
    serving.ask("POST", "/build?t=made&networkmode=none", _tar({"Dockerfile": _DOCKERFILE}), 200)
    serving.ask("GET", "/images/made/json", status=200)
    serving.ask("GET", f"/images/{remote}/json", status=200)
    serving.ask("DELETE", "/containers/steady?force=1", status=204)
    assert serving.end(signal.SIGTERM) == 0
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
