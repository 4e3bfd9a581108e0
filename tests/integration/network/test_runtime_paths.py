"""A container with published ports, whose runtime directory loses one path after the other."""

from __future__ import annotations

import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.needs import CONTAINER
from tests.ports import find_free_port

if TYPE_CHECKING:
    from pathlib import Path

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
