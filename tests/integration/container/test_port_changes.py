"""Published ports added to containers and removed while they run, and kept."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.integration.container.conftest import monitor_pid, slirp_pid
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

    Wait = Callable[[Callable[[], object]], None]

pytestmark = [pytest.mark.requires("userns", "subids", "slirp4netns", "tap", "busybox"), pytest.mark.slow]
SERVER = "echo hello > /tmp/index.html; httpd -f -p 80 -h /tmp & httpd -f -p 81 -h /tmp & echo up; wait"


def _answer(port: int) -> bytes:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with client.makefile("rb") as file:
            return file.read()[-6:]
    return b""


def _start(sandbox: Sandbox, image: str, *options: str) -> None:
    sandbox.run("run", "-d", "--name", "web", *options, image, "sh", "-c", SERVER)
    sandbox.wait_for_log("web", "up")


def _document(sandbox: Sandbox, template: str) -> object:
    return json.loads(sandbox.run("container", "inspect", "-f", template, "web").stdout)


def _first_process(sandbox: Sandbox) -> int:
    """Its pid, 0 while none runs."""
    return int(sandbox.run("container", "inspect", "-f", "{{.State.Pid}}", "web").stdout)


def test_ports_come_and_go_while_it_runs_and_stay_so(sandbox: Sandbox, busybox: str, eventually: Wait) -> None:
    first, second, third = find_free_port(), find_free_port(), find_free_port()
    _start(sandbox, busybox, "-p", f"127.0.0.1:{first}:80", "--restart", "always", "--network", "slirp4netns")
    added = sandbox.run("port", "add", "web", f"127.0.0.1:{second}:81", f"127.0.0.1:{third}:80", "0:81")
    place = added.lines[2].rpartition(":")[2]
    assert added.lines == [
        f"81/tcp -> 127.0.0.1:{second}", f"80/tcp -> 127.0.0.1:{third}", f"81/tcp -> 0.0.0.0:{place}"
    ]  # fmt: skip
    for port in (first, second, third, int(place)):
        eventually(lambda port=port: _answer(port) == b"hello\n")  # type: ignore[misc]
    assert f"127.0.0.1:{second}->81/tcp" in sandbox.run("ps").stdout
    assert sandbox.run("port", "rm", "web", f"{third}:80").lines == [f"80/tcp -> 127.0.0.1:{third}"]
    assert _answer(third) == b""
    # a run that the policy starts again, slirp4netns that is started again, a start: the same ports
    for what in ("run", "slirp4netns", "start"):
        if what == "run":
            before = _first_process(sandbox)
            os.kill(before, signal.SIGKILL)
            # its servers die after it, and answer until then
            eventually(lambda before=before: _first_process(sandbox) not in (0, before))  # type: ignore[misc]
        elif what == "slirp4netns":
            os.kill(slirp_pid(monitor_pid(sandbox, "web")), signal.SIGKILL)
        else:
            sandbox.run("restart", "-t", "0", "web")
        eventually(lambda: _answer(second) == b"hello\n")
        eventually(lambda: _answer(first) == b"hello\n")
        assert _answer(third) == b""
    bindings = _document(sandbox, "{{json .HostConfig.PortBindings}}")
    assert bindings == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(first)}],
        "81/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(second)}, {"HostIp": "", "HostPort": ""}],
    }
    gone = sandbox.run("port", "rm", "web", "81/tcp")
    assert len(gone.lines) == 2
    assert sandbox.run("port", "web").lines == [f"80/tcp -> 127.0.0.1:{first}"]
    assert "No public port '81/tcp'" in sandbox.run("port", "rm", "web", "81", status=1).stderr


def test_what_cannot_be_is_refused_and_changes_nothing(sandbox: Sandbox, busybox: str) -> None:
    port, taken = find_free_port(), find_free_port()
    sandbox.run("run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80", busybox, "sleep", "1000")
    sandbox.run("run", "-d", "--name", "other", "-p", f"127.0.0.1:{taken}:80", busybox, "sleep", "1000")
    ours = sandbox.run("port", "add", "web", f"{port}:81", status=1)
    assert "it publishes 127.0.0.1:" in ours.stderr
    theirs = sandbox.run("port", "add", "web", "0:82", f"127.0.0.1:{taken}:81", status=1)
    assert "port is already allocated" in theirs.stderr
    assert "container other publishes it" in theirs.stderr
    assert sandbox.run("port", "web").lines == [f"80/tcp -> 127.0.0.1:{port}"]
    assert _document(sandbox, "{{json .HostConfig.PortBindings}}") == {
        "80/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]
    }
    for network, words in (
        ("none", "it has no network"), ("host", "on the host's network"), ("container:web", "shares the network of")
    ):  # fmt: skip
        sandbox.run("create", "--name", "cc", "--network", network, busybox, "true")
        assert words in sandbox.run("port", "add", "cc", "8080:80", status=1).stderr
        sandbox.run("rm", "cc")
    assert "invalid containerPort" in sandbox.run("port", "add", "web", "80:x", status=125).stderr


def test_of_one_that_does_not_run_from_its_next_start(sandbox: Sandbox, busybox: str, eventually: Wait) -> None:
    """And a container may be called as one likes: with two arguments it is Docker's command."""
    port, other = find_free_port(), find_free_port()
    sandbox.run("create", "--name", "add", "-p", f"127.0.0.1:{other}:80", busybox, "sh", "-c", SERVER)
    sandbox.run("port", "add", "add", f"127.0.0.1:{port}:81")
    assert sandbox.run("port", "rm", "add", "80").lines == [f"80/tcp -> 127.0.0.1:{other}"]
    assert sandbox.run("port", "add").lines == []
    sandbox.run("start", "add")
    eventually(lambda: _answer(port) == b"hello\n")
    assert sandbox.run("port", "add").lines == [f"81/tcp -> 127.0.0.1:{port}"]
    assert sandbox.run("port", "add", "81/tcp").lines == [f"127.0.0.1:{port}"]
    assert "requires at most 2 arguments" in sandbox.run("port", "web", "80", "81", status=None).stderr


def _killed_rounds(sandbox: Sandbox, image: str, rounds: int) -> None:
    """The command or the monitor is killed at a random moment: what is kept is bound, now or at the next start."""
    chosen = random.Random(5)
    port = find_free_port()
    for _ in range(rounds):
        sandbox.run("run", "-d", "--name", "web", image, "sleep", "1000")
        victim = monitor_pid(sandbox, "web") if chosen.random() < 0.5 else 0
        process = sandbox.spawn("port", "add", "web", f"127.0.0.1:{port}:80")
        with suppress(subprocess.TimeoutExpired):
            process.wait(chosen.random() * 0.6)
        if victim:
            os.kill(victim, signal.SIGKILL)
        else:
            process.kill()
        process.communicate()
        if victim:
            leaks.wait_ended(victim)
        sandbox.run("start", "web")
        bound, kept = sandbox.run("port", "web").lines, _document(sandbox, "{{json .HostConfig.PortBindings}}")
        assert bool(bound) == bool(kept), (bound, kept)
        sandbox.run("system", "check")
        sandbox.run("rm", "-f", "web")
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []


def test_whoever_is_killed_the_record_is_true(sandbox: Sandbox, busybox: str) -> None:
    _killed_rounds(sandbox, busybox, 6)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_whoever_is_killed_two_hundred_times(sandbox: Sandbox, busybox: str) -> None:
    _killed_rounds(sandbox, busybox, 200)
