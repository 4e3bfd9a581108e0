"""Debian's docker-compose over the socket: a project that is built, brought up, looked at and taken down."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.api.conftest import DockerCommand

pytestmark = pytest.mark.requires("subids", "overlay", "docker-compose")
_PROJECT = """
version: "2.4"
services:
  first:
    image: busybox
    command: sh -c 'echo first is up; exec sleep 600'
    volumes: ["data:/data"]
  second:
    build: .
    depends_on: [first]
volumes: {data: {}}
"""
_DOCKERFILE = """
FROM busybox
RUN echo made > /made
CMD ["sh", "-c", "cat /made; exec sleep 600"]
"""


_ONE = """
version: "2.4"
services:
  only: {image: busybox, command: sleep 600}
"""


def compose(command: DockerCommand, directory: Path, *words: str) -> str:
    """Run docker-compose for the project `pj` of the directory, and give what it printed."""
    done = subprocess.run(
        ["docker-compose", "-p", "pj", *words], cwd=directory, env={**command.env, "COMPOSE_HTTP_TIMEOUT": "120"},
        capture_output=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{words}: {done.stdout!r}{done.stderr!r}"
    return done.stdout.decode()


def test_a_service_comes_and_goes(command: DockerCommand, tmp_path: Path, busybox: str) -> None:
    (tmp_path / "docker-compose.yml").write_text(_ONE)
    compose(command, tmp_path, "up", "-d")
    ids = compose(command, tmp_path, "ps", "-q").split()
    assert ids == command.lines("ps", "-q", "--no-trunc")
    assert len(ids) == 1
    # it looks for what images told before version 1.45 alone
    compose(command, tmp_path, "up", "-d", "--force-recreate", "-t", "0")
    assert command.lines("ps", "-aq", "--no-trunc") == compose(command, tmp_path, "ps", "-q").split() != ids
    compose(command, tmp_path, "down", "-t", "0")
    assert command.lines("ps", "-aq") == []


@pytest.mark.long
def test_a_project_comes_and_goes(command: DockerCommand, tmp_path: Path, busybox: str) -> None:
    (tmp_path / "docker-compose.yml").write_text(_PROJECT)
    (tmp_path / "Dockerfile").write_text(_DOCKERFILE)
    compose(command, tmp_path, "up", "-d")
    assert len(compose(command, tmp_path, "ps", "-q").split()) == 2
    compose(command, tmp_path, "up", "-d")
    assert compose(command, tmp_path, "exec", "-T", "second", "cat", "/made") == "made\n"
    assert "first is up" in compose(command, tmp_path, "logs", "--no-color", "first")
    assert "made" in compose(command, tmp_path, "run", "--rm", "-T", "second", "cat", "/made")
    compose(command, tmp_path, "down", "-v", "-t", "0")
    assert command.lines("ps", "-aq") == []
    assert command.lines("volume", "ls", "-q") == []
