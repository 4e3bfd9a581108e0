"""A container with published ports, whose runtime directory loses one path after the other."""

from __future__ import annotations

import os
import signal
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.needs import CONTAINER
from tests.ports import find_free_port

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = [
    pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "registry", "skopeo", "umoci", "busybox"),
    pytest.mark.slow,
]


def _paths(sandbox: Sandbox) -> list[Path]:
    (directory,) = sandbox.home.runtime.glob("sandbox/containers/*")
    return [*sorted(directory.iterdir()), directory]


def _remove(path: Path) -> None:
    if path.is_dir():
        for entry in path.iterdir():
            _remove(entry)
        path.rmdir()
    else:
        path.unlink()


def _page(port: int) -> bytes:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/page", timeout=20) as answer:
        content: bytes = answer.read()
    return content


def test_each_path_may_go(sandbox: Sandbox, busybox_image: str) -> None:
    port = find_free_port()
    script = "echo hello >/tmp/page; echo up; exec httpd -f -p 80 -h /tmp"
    sandbox.run("run", "-d", "--init", "--name", "web", "-p", f"{port}:80", busybox_image, "sh", "-c", script)
    names = [path.name for path in _paths(sandbox)]
    assert len(names) > 2
    for number, name in enumerate(names):
        sandbox.run("restart", "-t", "0", "web")
        sandbox.wait_for_log("web", "up")
        path = _paths(sandbox)[number]
        assert path.name == name
        _remove(path)
        assert _page(port) == b"hello\n", name
        assert sandbox.run("exec", "web", "cat", "/tmp/page").stdout == "hello\n", name
        assert f":{port}" in sandbox.run("port", "web").stdout, name
        assert sandbox.run("ps", "--format", "{{.Names}} {{.State}}").lines == ["web running"], name
        assert sandbox.run("system", "check", "--quick").status == 0, name
        sandbox.run("kill", "-s", "WINCH", "web")
        assert _page(port) == b"hello\n", name
    sandbox.run("stop", "-t", "0", "web")
    sandbox.run("rm", "web")
    assert list(sandbox.home.runtime.glob("sandbox/containers/*")) == []


def _slirp_of(sandbox: Sandbox, name: str) -> int:
    """The child of the container's monitor, which is the parent of its first process."""
    first = sandbox.run("inspect", "-f", "{{.State.Pid}}", name).stdout.strip()
    status = Path(f"/proc/{first}/status").read_text()
    monitor = next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:"))
    children = Path(f"/proc/{monitor}/task/{monitor}/children").read_text().split()
    (found,) = (int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "slirp4netns\n")
    return found


def test_a_container_whose_slirp_is_stopped(sandbox: Sandbox, busybox_image: str) -> None:
    """It takes no packet, and the monitor goes on with everything else; killed, another one takes its place."""
    port = find_free_port()
    script = "trap 'echo told' USR1; echo hello >/tmp/page; httpd -p 80 -h /tmp; echo up; while :; do sleep 0.05; done"
    private = ("--network", "slirp4netns")
    sandbox.run("run", "-d", "--name", "web", *private, "-p", f"{port}:80", busybox_image, "sh", "-c", script)
    sandbox.wait_for_log("web", "up")
    stopped = _slirp_of(sandbox, "web")
    os.kill(stopped, signal.SIGSTOP)
    sandbox.run("kill", "-s", "USR1", "web")
    sandbox.wait_for_log("web", "told")
    os.kill(stopped, signal.SIGKILL)
    while True:
        with suppress(OSError):
            assert _page(port) == b"hello\n"
            break
    os.kill(_slirp_of(sandbox, "web"), signal.SIGSTOP)
    sandbox.run("stop", "-t", "0", "web")
    assert sandbox.run("ps", "-a", "--format", "{{.Names}} {{.State}}").lines == ["web exited"]
