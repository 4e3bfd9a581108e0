"""`sandbox api run`: a socket for one command, and nothing left of what it made."""

from __future__ import annotations

import os
import shlex
import signal
import socket as sockets
import subprocess
from typing import TYPE_CHECKING

import pytest

from sandbox.api.sockets import listener_pid

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = pytest.mark.requires("subids", "overlay", "docker")
#: the first makes an image that is there already, the last takes the name of one away
_BUILDS = (
    ("IMAGE", "USER 1", "same:1"),
    ("IMAGE", "USER 2", "new:1"),
    ("new:1", "USER 3", "of:1"),
    ("of:1", "USER 4", "of:1"),
)
_MAKES = "docker network create mine && docker create --name left --network mine busybox true && exit 9"


def test_what_a_command_made_goes_with_it(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("create", "--name", "other", busybox, "true")
    kept = sandbox.run("build", "-q", "-", input=f"FROM {busybox}\nUSER 1\n").stdout
    builds = "".join(
        f"printf 'FROM {base}\\n{line}\\n' | docker build -q -t {name} -; " for base, line, name in _BUILDS
    )
    script = f"{builds}docker commit other committed && docker export other | docker import - imported && {_MAKES}"
    done = sandbox.run("api", "run", "--", "sh", "-c", script.replace("IMAGE", busybox), status=9)
    assert kept.strip() in done.stdout
    assert "WARNING: not removed" not in done.stderr
    # what was there already is nobody's to remove
    assert sorted(sandbox.run("images", "-q", "--no-trunc").lines) == sorted(
        {kept.strip(), _image_id(sandbox, busybox)}
    )
    assert sandbox.run("ps", "-a", "--format", "{{.Names}}").lines == ["other"]
    assert "mine" not in sandbox.run("network", "ls", "--format", "{{.Name}}").lines
    sandbox.run("api", "run", "--keep", "--", "sh", "-c", _MAKES, status=9)
    assert sorted(sandbox.run("ps", "-a", "--format", "{{.Names}}").lines) == ["left", "other"]
    sandbox.run("rm", "left")


def test_what_cannot_be_removed_is_said(sandbox: Sandbox, busybox: str) -> None:
    words = ("run", "-d", "--name", "other", "--network", "mine", "--stop-signal", "KILL", busybox, "sleep", "1000")
    script = f"docker network create mine && {shlex.join(sandbox.words(*words))}"
    done = sandbox.run("api", "run", "--", "sh", "-c", script)
    assert "WARNING: not removed: network " in done.stderr
    assert "network mine has active endpoints" in done.stderr
    sandbox.run("rm", "-f", "other")
    sandbox.run("network", "rm", "mine")


def test_a_command_that_cannot_run_has_the_status_of_a_shell(sandbox: Sandbox) -> None:
    (sandbox.home.root / "text").write_text("no program\n")
    for name, status, words in (
        ("nothing-of-the-name", 127, "command not found"), ("./nothing", 127, "command not found"),
        (".//", 126, "is a directory"), ("./text", 126, "cannot be executed"),
    ):  # fmt: skip
        assert words in sandbox.run("api", "run", "--", name, status=status).stderr
    (sandbox.home.root / "text").chmod(0o755)
    assert "Exec format error" in sandbox.run("api", "run", "--", "./text", status=126).stderr
    (sandbox.home.root / "text").write_text("#!/no/such/shell\n")
    assert "No such file" in sandbox.run("api", "run", "--", "./text", status=126).stderr


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
        # whoever started it has gone, and reads nothing of it
        assert os.readlink(f"/proc/{server}/fd/2") == f"{os.path.dirname(path)}/api.log"
        assert f"by process {server}" in sandbox.run("api", "serve", status=1).stderr
        env = {**sandbox.env, "DOCKER_HOST": f"unix://{path}"}
        assert subprocess.run(["docker", "run", "--rm", busybox, "echo", "hi"], env=env, capture_output=True,
                              timeout=120, check=True).stdout == b"hi\n"  # fmt: skip
    finally:
        os.kill(server, signal.SIGTERM)


def test_a_socket_by_systemd_and_docker_by_name(sandbox: Sandbox, busybox: str) -> None:
    units = sandbox.home.root / ".config/systemd/user"
    done = sandbox.run("api", "install")
    assert done.lines == [str(units / "sandbox-api.socket")]
    assert "sandbox api serve -d" in done.stderr
    assert (units / "sockets.target.wants/sandbox-api.socket").read_text().count("SocketMode=0600") == 1
    assert '"api" "serve" "--idle" "60s"' in (units / "sandbox-api.service").read_text()
    sandbox.run("api", "uninstall")
    assert list(units.glob("sandbox-api*")) == []
    assert "not installed" in sandbox.run("api", "uninstall", status=1).stderr
    (path,) = sandbox.run("api", "install-shim", "bin").lines
    by_name = subprocess.run([path, "images", "-q"], env=sandbox.env, capture_output=True, timeout=120, check=True)
    assert len(by_name.stdout.split()) == 1
    (sandbox.home.root / "bin/docker").write_text("#!/bin/sh\n")
    assert "is another program" in sandbox.run("api", "install-shim", "bin", status=1).stderr


def test_systemd_hands_over_the_socket(sandbox: Sandbox, busybox: str) -> None:
    path = f"{sandbox.home.runtime}/handed.sock"
    with sockets.socket(sockets.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        # the number of the process is known in it alone
        script = f'exec 3<&{listener.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
        words = ["bash", "-c", script, "bash", *sandbox.words("api", "serve", "--idle", "1s")]
        with subprocess.Popen(words, env=sandbox.env, pass_fds=(listener.fileno(),), stderr=subprocess.PIPE) as server:
            env = {**sandbox.env, "DOCKER_HOST": f"unix://{path}"}
            assert subprocess.run(["docker", "images", "-q"], env=env, timeout=120, check=True).returncode == 0
            # it ends by itself when nobody asks any more, and the socket stays theirs who listened
            assert server.wait(120) == 0
    assert os.path.exists(path)


def _image_id(sandbox: Sandbox, name: str) -> str:
    return sandbox.run("inspect", "-f", "{{.Id}}", name).stdout.strip()
