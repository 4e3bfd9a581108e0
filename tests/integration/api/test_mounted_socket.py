"""Docker's socket as a mount: the user's own API, served for as long as a container has it."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from sandbox.api.sockets import listener_pid
from sandbox.container.life.docker_socket import with_own_socket
from sandbox.container.model.record import ContainerConfig
from sandbox.docker_sockets import DOCKER_SOCKETS, is_ours_instead
from sandbox.errors import HostError
from sandbox.paths import find_paths
from sandbox.values import MountPoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "busybox"), pytest.mark.slow]
_FILE = """
name: watched
services:
  bound: {image: busybox, command: sleep 1000, network_mode: none, volumes: ['/var/run/docker.sock:/sock:ro']}
  asked: {image: busybox, command: sleep 1000, network_mode: none, use_api_socket: true}
  other: {image: busybox, command: sleep 1000, network_mode: none}
"""


@pytest.fixture
def path(sandbox: Sandbox, busybox: str, eventually: Callable[..., None]) -> Iterator[str]:
    """Where the server is to listen, which is ended afterwards."""
    if not is_ours_instead(DOCKER_SOCKETS[0]):
        pytest.fail("the user has a Docker of his own here, whose socket would be mounted")
    assert busybox == "busybox"
    path = find_paths(sandbox.env).api_socket
    yield path
    pid = listener_pid(path)
    if pid:
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not listener_pid(path))


def _answers(sandbox: Sandbox, name: str, inside: str) -> bool:
    """Whether somebody answers at the path inside, as its processes reach it."""
    pid = sandbox.run("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(f"/proc/{pid}/root{inside}")
        connection.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        return connection.recv(64).startswith(b"HTTP/1.1 200 ")


def test_a_container_asks_the_users_own_api(sandbox: Sandbox, path: str) -> None:
    place = DOCKER_SOCKETS[0]
    words = ("run", "-d", "--network", "none", "--stop-signal", "KILL")
    sandbox.run(*words, "--name", "bound", "-v", f"{place}:{place}", "busybox", "sleep", "1000")
    assert _answers(sandbox, "bound", DOCKER_SOCKETS[0])
    sandbox.run(*words, "--name", "asked", "--use-api-socket", "busybox", "sleep", "1000")
    assert _answers(sandbox, "asked", DOCKER_SOCKETS[0])
    server = listener_pid(path)
    sandbox.run(*words, "--name", "mounted", "--mount", f"type=bind,src={place},dst=/sock", "busybox", "sleep", "1000")
    assert _answers(sandbox, "mounted", "/sock")
    assert listener_pid(path) == server
    sandbox.run("rm", "-f", "bound", "asked", "mounted")


def test_a_project_that_asks_for_it_has_a_server(sandbox: Sandbox, path: str, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(_FILE)
    sandbox.run("compose", "up", "-d", "other", cwd=tmp_path)
    assert not listener_pid(path)
    sandbox.run("compose", "up", "-d", cwd=tmp_path)
    assert _answers(sandbox, "watched-bound-1", "/sock")
    assert _answers(sandbox, "watched-asked-1", DOCKER_SOCKETS[0])
    sandbox.run("compose", "down", "-t", "0", cwd=tmp_path)


def test_without_a_server_it_says_which_command_helps(sandbox: Sandbox, path: str) -> None:
    assert not listener_pid(path)
    with pytest.raises(HostError, match="no server of the API listens"):
        with_own_socket(
            find_paths(sandbox.env),
            ContainerConfig("x", "", (), (), mounts=(MountPoint("bind", DOCKER_SOCKETS[0], "/sock"),)),
        )
