"""A server of the API that a test ends as it likes, and starts again at the same path."""

from __future__ import annotations

import json
import os
import socket as sockets
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tests import leaks
from tests.integration.api.conftest import TIMEOUT_SECONDS

if TYPE_CHECKING:
    import subprocess

    from tests.command import Sandbox


class Serving:
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
        own = helpers_of(self.process.pid)
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
        head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        return connection


def _children(pid: int) -> list[int]:
    with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]
    return []


def workers_of(server: int) -> list[int]:
    """Processes that do something for a client of the server; what these start, monitors of containers, goes on."""
    return [worker for prepared in _children(server) for worker in _children(prepared)]


def helpers_of(server: int) -> list[int]:
    """The prepared process and its workers."""
    return [*_children(server), *workers_of(server)]
