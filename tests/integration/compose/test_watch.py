"""`compose watch` and `up --watch`: containers follow the files."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
_FILE = """
name: demo
services:
  web:
    build: {dockerfile_inline: "FROM busybox\\nCOPY word /word\\n"}
    command: ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]
    develop:
      watch:
        - {action: sync, path: ./src, target: /app, ignore: ["*.no"], initial_sync: true}
        - {action: sync+exec, path: ./run, target: /run/d, exec: {command: [echo, ran]}}
        - {action: sync+restart, path: ./conf, target: /conf}
        - {action: rebuild, path: ./word}
"""


@pytest.fixture
def directory(busybox: str, tmp_path: Path) -> Path:
    directory = tmp_path / "demo"
    for name in ("src", "run", "conf"):
        (directory / name).mkdir(parents=True)
    (directory / "compose.yaml").write_text(_FILE)
    (directory / "word").write_text("one")
    (directory / "src/first").write_text("first")
    return directory


def _wait_for(watching: subprocess.Popen[bytes], words: str) -> None:
    """Read what is said until the words have come."""
    assert watching.stdout is not None
    said = []
    for line in watching.stdout:
        said.append(line.decode())
        if words in said[-1]:
            return
    raise AssertionError("".join(said))


def test_what_changes_cause(sandbox: Sandbox, directory: Path) -> None:
    def inside(*words: str, status: int = 0) -> str:
        return sandbox.run("compose", "-p", "demo", "exec", "-T", "web", *words, status=status).stdout

    with sandbox.spawn("compose", "-f", str(directory / "compose.yaml"), "watch") as watching:
        try:
            _wait_for(watching, "Watch enabled")
            assert inside("cat", "/app/first") == "first"
            other = sandbox.run("compose", "watch", "--no-up", status=1, cwd=directory)
            assert 'cannot take exclusive lock for project "demo"' in other.stderr

            # files that are made, left out, and removed; a directory that was not there
            (directory / "src/a.no").write_text("x")
            (directory / "src/deep/er").mkdir(parents=True)
            (directory / "src/deep/er/file").write_text("deep")
            (directory / "src/first").unlink()
            _wait_for(watching, 'Syncing service "web"')
            (directory / "run/script").write_text("x")
            _wait_for(watching, "ran")
            assert inside("cat", "/app/deep/er/file") == "deep"
            assert inside("ls", "/app").split() == ["deep"]

            # a directory that comes whole, where the container has a link
            inside("sh", "-c", "mkdir /elsewhere && ln -s /elsewhere /app/link")
            (directory / "link").mkdir()
            (directory / "link/file").write_text("linked")
            (directory / "link").rename(directory / "src/link")
            (directory / "run/script").write_text("y")
            _wait_for(watching, "ran")
            assert inside("cat", "/elsewhere/file") == "linked"

            # a build that fails ends nothing
            (directory / "conf/c").write_text("conf")
            _wait_for(watching, 'service(s) ["web"] restarted')
            assert inside("cat", "/conf/c", "/app/deep/er/file") == "confdeep"
            (directory / "word").unlink()
            _wait_for(watching, "Build failed")
            (directory / "word").write_text("two")
            _wait_for(watching, 'service(s) ["web"] successfully built')
            (directory / "run/again").write_text("x")
            _wait_for(watching, "ran")
            assert inside("cat", "/word") == "two"
        finally:
            watching.send_signal(signal.SIGINT)
            watching.communicate()
    assert watching.returncode == 130


def test_up_goes_on_while_its_container_is_made_anew(sandbox: Sandbox, directory: Path) -> None:
    with sandbox.spawn("compose", "-f", str(directory / "compose.yaml"), "up", "--watch") as watching:
        try:
            _wait_for(watching, "Watch enabled")
            (directory / "word").write_text("two")
            _wait_for(watching, 'service(s) ["web"] successfully built')
            (directory / "run/again").write_text("x")
            _wait_for(watching, "ran")
            assert sandbox.run("compose", "-p", "demo", "exec", "-T", "web", "cat", "/word").stdout == "two"
        finally:
            watching.send_signal(signal.SIGINT)
            watching.communicate()
    assert watching.returncode == 130


def test_a_project_that_watches_nothing_is_told(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {a: {image: a}}")
    refused = sandbox.run("compose", "watch", status=1, cwd=tmp_path)
    assert "none of the selected services is configured for watch" in refused.stderr
