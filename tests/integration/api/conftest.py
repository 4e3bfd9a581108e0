"""A server of the API for a test, and clients of Docker's that ask it."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import docker
import pytest

from tests.integration.container.conftest import busybox, busybox_home, busybox_tar, eventually
from tests.integration.service.services import Services

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.command import Sandbox

__all__ = ["busybox", "busybox_home", "busybox_tar", "eventually"]
#: of requests of docker-py; generous, for the machine may be busy
TIMEOUT_SECONDS = 120


@pytest.fixture
def socket(sandbox: Sandbox, busybox: str) -> Iterator[str]:
    """The path of a socket at which a server of the test's own listens; the image `busybox` is there."""
    path = f"{sandbox.home.runtime}/docker.sock"
    read_fd, write_fd = os.pipe()
    server = sandbox.spawn(
        "api", "serve", "--socket", path, "--ready-fd", str(write_fd), pass_fds=(write_fd,), stderr=None
    )
    os.close(write_fd)
    try:
        with open(read_fd, "rb") as told:
            assert told.read() == b"listening"
        yield path
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.stdout is not None
        server.stdout.close()
        assert server.wait(TIMEOUT_SECONDS) == 0


@pytest.fixture
def client(socket: str) -> Iterator[Any]:
    """Docker's Python library, joined to the server."""
    client = docker.DockerClient(base_url=f"unix://{socket}", timeout=TIMEOUT_SECONDS)
    yield client
    client.close()


class DockerCommand:
    """Docker's own command line, as the user of a test."""

    def __init__(self, sandbox: Sandbox, socket: str) -> None:
        self.env = {**sandbox.env, "DOCKER_HOST": f"unix://{socket}", "DOCKER_BUILDKIT": "0"}
        # its plugins and contexts are nobody's business here
        self.env["DOCKER_CONFIG"] = f"{sandbox.home.root}/docker-config"

    def run(self, *words: str, status: int = 0, input: str | bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run to the end; fails the test where the exit status is another."""
        data = input.encode() if isinstance(input, str) else input
        done = subprocess.run(
            ["docker", *words], input=data, capture_output=True, env=self.env, timeout=TIMEOUT_SECONDS, check=False
        )
        assert done.returncode == status, f"docker {' '.join(words)}: {done.returncode}\n{done.stdout!r}{done.stderr!r}"
        return done

    def lines(self, *words: str, status: int = 0) -> list[str]:
        """What it prints."""
        return self.run(*words, status=status).stdout.decode().splitlines()

    def spawn(self, *words: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Start and return; the caller waits, and closes the pipes."""
        return subprocess.Popen(
            ["docker", *words], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.env
        )


@pytest.fixture
def command(sandbox: Sandbox, socket: str) -> DockerCommand:
    """The command line, joined to the server."""
    return DockerCommand(sandbox, socket)


@pytest.fixture
def leaves_no_service(sandbox: Sandbox) -> Iterator[None]:
    """Who removes the containers of a test that failed finds no service that makes new ones."""
    yield
    Services(sandbox).remove_all()
