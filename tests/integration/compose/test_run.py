"""`compose run` and `build`: images, what is depended on, one-off containers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
_FILE = """
name: demo
services:
  web:
    build: {dockerfile_inline: "FROM busybox\\nARG WORD=none\\nRUN echo $$WORD >/word", args: {WORD: file}}
    command: ["sleep", "1000"]
    depends_on: {db: {condition: service_healthy}}
    ports: ["127.0.0.1::80"]
    volumes: ["data:/data"]
  db:
    image: busybox
    command: ["sleep", "1000"]
    healthcheck: {test: ["CMD", "true"], interval: 1s}
  other: {image: other, build: {dockerfile_inline: "FROM missing.invalid/no"}, profiles: [other]}
volumes: {data: }
"""


def test_a_command_is_run_once(sandbox: Sandbox, busybox: str, tmp_path: Path) -> None:
    directory = tmp_path / "demo"
    directory.mkdir()
    (directory / "compose.yaml").write_text(_FILE)

    def compose(*words: str, status: int = 0, input: str = "") -> tuple[str, str]:
        done = sandbox.run("compose", *words, status=status, cwd=directory, input=input)
        return done.stdout, done.stderr

    # the image is built, and what is depended on is healthy, before the command runs
    out, err = compose("run", "--rm", "-e", "A=b", "-v", ".:/here", "web", "sh", "-c",
                       "cat /word; echo $A; ls /here; cat; exit 7", status=7, input="typed")  # fmt: skip
    assert out == "file\nb\ncompose.yaml\ntyped"
    assert err.index("Image demo-web Built") < err.index("Container demo-db-1 Healthy")
    assert sandbox.run("compose", "-p", "demo", "ps", "-a", "--format", "{{.Name}}").lines == ["demo-db-1"]

    # nothing is built again, nor started where it runs
    out, err = compose("run", "-d", "--name", "mine", "web", "sleep", "1000")
    assert "Built" not in err
    (document,) = json.loads(sandbox.run("inspect", out.strip()).stdout)
    labels = document["Config"]["Labels"]
    assert (document["Name"], labels["com.docker.compose.oneoff"]) == ("/mine", "True")
    assert document["HostConfig"]["PortBindings"] == {}
    assert [mount["Name"] for mount in document["Mounts"]] == ["demo_data"]
    assert compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "echo", "db", "yes")[0] == "yes\n"
    compose("rm", "-fs", "db")
    assert compose("run", "--rm", "--no-deps", "-P", "web", "true")[1] == ""
    assert "incompatible" in compose("run", "-P", "-p", "80:80", "web", status=1)[1]
    assert "no such service: nope" in compose("run", "nope", status=1)[1]

    # build
    out, err = compose("build", "--build-arg", "WORD=line", "web")
    assert "Image demo-web Built" in err
    assert compose("run", "--rm", "--no-deps", "web", "cat", "/word")[0] == "line\n"
    assert compose("build", "db") == ("", "WARNING: No services to build\n")
    assert '"demo-web"' in compose("build", "--print")[0]
    assert "missing.invalid" in compose("build", "other", status=1)[1]
    compose("build", "-q", "--check", "web")
    sandbox.run("rm", "-f", "mine")
