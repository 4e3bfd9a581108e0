"""`sandbox api run`: a socket for one command, and nothing left of what it made."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox.api.sockets import listener_pid

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = pytest.mark.requires("subids", "overlay", "docker")
_MAKES = "docker network create mine && docker create --name left --network mine busybox true && exit 9"


def test_what_a_command_made_goes_with_it(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("create", "--name", "other", busybox, "true")
    done = sandbox.run("api", "run", "--", "sh", "-c", f"docker tag {busybox} named:1; {_MAKES}", status=9)
    assert done.stderr == ""
    assert sandbox.run("ps", "-a", "--format", "{{.Names}}").lines == ["other"]
    assert "mine" not in sandbox.run("network", "ls", "--format", "{{.Name}}").lines
    sandbox.run("api", "run", "--keep", "--", "sh", "-c", _MAKES, status=9)
    assert sorted(sandbox.run("ps", "-a", "--format", "{{.Names}}").lines) == ["left", "other"]
    sandbox.run("rm", "left")
    assert "command not found" in sandbox.run("api", "run", "--", "nothing-of-the-name", status=1).stderr


def test_what_a_killed_one_made_goes_with_the_next(sandbox: Sandbox, busybox: str) -> None:
    script = "docker create --name left busybox true && kill -KILL $PPID"
    with sandbox.spawn("api", "run", "--", "sh", "-c", script) as killed:
        assert killed.wait(120) == -signal.SIGKILL
    assert sandbox.run("ps", "-a", "--format", "{{.Names}}").lines == ["left"]
    sandbox.run("api", "run", "--", "true")
    assert sandbox.run("ps", "-a", "--format", "{{.Names}}").lines == []


def test_a_server_in_the_background_is_there_for_all(sandbox: Sandbox, busybox: str) -> None:
    path, again = (sandbox.run("api", "serve", "-d").stdout.strip() for _time in range(2))
    assert path == again
    server = listener_pid(path)
    try:
        assert f"by process {server}" in sandbox.run("api", "serve", status=1).stderr
        env = {**sandbox.env, "DOCKER_HOST": f"unix://{path}"}
        assert subprocess.run(["docker", "run", "--rm", busybox, "echo", "hi"], env=env, capture_output=True,
                              timeout=120, check=True).stdout == b"hi\n"  # fmt: skip
    finally:
        os.kill(server, signal.SIGTERM)
