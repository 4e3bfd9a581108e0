"""`system dial-stdio`, with which Docker's clients reach the API of another machine by ssh."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox.api.sockets import listener_pid
from sandbox.paths import find_paths
from tests import leaks
from tests.integration.api.conftest import DockerCommand

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = pytest.mark.requires("userns", "subids", "overlay", "docker")


def test_docker_asks_by_ssh(sandbox: Sandbox, busybox: str) -> None:
    """In the place of ssh is what runs the words that it is given, as a login on another machine does."""
    places = sandbox.home.root / "bin"
    places.mkdir()
    sandbox.run("api", "install-shim", places / "there")
    ssh = places / "ssh"
    ssh.write_text(f'#!/bin/sh\nPATH={places}/there:$PATH\nwhile [ "$1" != docker ]; do shift; done\nexec "$@"\n')
    ssh.chmod(0o755)
    command = DockerCommand(sandbox, "unused")
    command.env |= {"DOCKER_HOST": "ssh://somebody@elsewhere", "PATH": f"{places}:{command.env['PATH']}"}
    path = find_paths(sandbox.env).api_socket
    try:
        assert command.lines("version", "--format", "{{(index .Server.Components 0).Name}}") == ["Engine"]
        # both halves of a connection that is handed over, and the end of each
        done = command.run("run", "--rm", "-i", "--network", "none", busybox, "cat", input="given\n" * 50_000)
        assert done.stdout == b"given\n" * 50_000
        assert command.run("run", "--rm", "--network", "none", busybox, "sh", "-c", "exit 7", status=7).stdout == b""
    finally:
        if pid := listener_pid(path):
            os.kill(pid, signal.SIGTERM)
            leaks.wait_ended(pid)


def test_a_file_is_no_connection(sandbox: Sandbox) -> None:
    with sandbox.spawn("system", "dial-stdio", stdin=subprocess.DEVNULL) as refused:
        _, told = refused.communicate()
    assert b"standard input is no connection" in told
    assert not listener_pid(find_paths(sandbox.env).api_socket)
