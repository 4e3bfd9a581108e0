"""The verbs that look at a project's containers, and end them: of a project that is found by labels alone."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Finished, Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]
_FILE = """
name: demo
services:
  web: {image: busybox}
  db: {image: busybox}
"""


class _Project:
    """A directory with a Compose file, and containers with the labels of its services."""

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self._sandbox = sandbox
        self.directory = directory
        directory.mkdir()
        (directory / "compose.yaml").write_text(_FILE)

    def add(self, service: str, number: int, script: str, *options: str) -> str:
        """Run a container of the service; its name."""
        name = f"demo-{service}-{number}"
        labels = {
            "project": "demo", "service": service, "container-number": str(number), "oneoff": "False",
            "config-hash": "x", "project.config_files": str(self.directory / "compose.yaml"),
        }  # fmt: skip
        words = [word for key, value in labels.items() for word in ("-l", f"com.docker.compose.{key}={value}")]
        self._sandbox.run("run", "-d", "--name", name, *words, *options, "busybox", "sh", "-c", script)
        return name

    def compose(self, *words: str, status: int | None = 0) -> Finished:
        return self._sandbox.run("compose", *words, status=status, cwd=self.directory)


@pytest.fixture
def project(sandbox: Sandbox, busybox: str, tmp_path: Path) -> _Project:
    assert busybox == "busybox"
    return _Project(sandbox, tmp_path / "demo")


def test_what_there_is_and_what_it_does(sandbox: Sandbox, project: _Project) -> None:
    """One project with two containers that run and one that has ended."""
    compose = project.compose
    assert compose("ps", "-q").stdout == ""
    project.add("web", 1, "echo one; echo two >&2; exec sleep 1000", "-p", "127.0.0.1::80", "-v", "demo_data:/data")
    project.add("web", 2, "exec sleep 1000", "--network", "none")
    project.add("db", 1, "printf 'no end'; exit 3", "--network", "none")
    sandbox.run("wait", "demo-db-1")

    # ps
    header, *rows = compose("ps", "-a").lines
    assert header.split() == ["NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS"]
    assert [row.split()[0] for row in rows] == ["demo-db-1", "demo-web-1", "demo-web-2"]
    assert "Exited (3)" in rows[0]
    assert compose("ps", "--services").lines == ["web"]
    assert compose("ps", "--services", "--status", "exited").lines == ["db"]
    assert compose("ps", "--format", "{{.Service}} {{.State}}", "--filter", "status=exited").lines == ["db exited"]
    ended, running, _ = (json.loads(line) for line in compose("ps", "-a", "--format", "json").lines)
    assert (ended["ExitCode"], ended["Publishers"], ended["Project"]) == (3, [], "demo")
    published = running["Publishers"][0]
    assert (published["URL"], published["TargetPort"]) == ("127.0.0.1", 80)
    assert re.fullmatch("[0-9a-f]{64}", compose("ps", "-q", "db", "-a").stdout.strip())
    assert "no such service: nope" in compose("ps", "nope", status=1).stderr
    assert "unknown filter" in compose("ps", "--filter", "x=y", status=1).stderr
    # without a file the name is enough
    assert sandbox.run("compose", "-p", "demo", "ps", "--services").lines == ["web"]
    own = project.directory / "config.json"
    own.write_text('{"psFormat": "{{.Name}}"}')
    env = {"DOCKER_CONFIG": str(project.directory)}
    assert sandbox.run("compose", "-p", "demo", "ps", env=env).lines == ["demo-web-1", "demo-web-2"]
    assert sandbox.run("compose", "-p", "demo", "ps", "--format", "table", env=env).lines[0].split()[0] == "NAME"
    own.write_text("no JSON")
    assert sandbox.run("compose", "-p", "demo", "ps", env=env).lines[0].split()[0] == "NAME"

    # ls, port, volumes, images
    assert sandbox.run("compose", "ls", "--format", "json").stdout == (
        f'[{{"Name":"demo","Status":"running(2)","ConfigFiles":"{project.directory}/compose.yaml"}}]\n'
    )
    assert compose("ls", "-a").lines[1].split()[:3] == ["demo", "exited(1),", "running(2)"]
    assert compose("ls", "-q", "--filter", "name=other").stdout == ""
    assert compose("port", "web", "80").stdout == f"127.0.0.1:{published['PublishedPort']}\n"
    wrong = compose("port", "web", "81", status=1).stderr
    assert "no port 81/tcp for container demo-web-1: 80/tcp" in wrong
    assert compose("volumes", "-q").stdout == ""
    assert [line.split()[:3] for line in compose("images").lines[1:]] == [
        ["demo-db-1", "busybox", "latest"], ["demo-web-1", "busybox", "latest"], ["demo-web-2", "busybox", "latest"],
    ]  # fmt: skip
    (id_,) = compose("images", "-q").lines
    assert sandbox.run("image", "inspect", "-f", "{{.Id}}", "busybox").stdout == f"sha256:{id_}\n"

    # logs
    # by time, and the first of them was made first
    assert compose("logs").lines == ["web-1  | one", "web-1  | two", "db-1   | no end"]
    assert compose("logs", "--no-log-prefix", "-n", "1", "web").lines == ["two"]
    assert re.fullmatch(r"db-1  \| \d{4}-\S+Z no end\n", compose("logs", "-t", "db").stdout)
    assert compose("logs", "--index", "2", "web").stdout == ""
    assert "--index requires one service" in compose("logs", "--index", "1", status=1).stderr

    # exec, top, stats, cp, commit, export
    assert compose("exec", "web", "echo", "yes").stdout == "yes\n"
    assert compose("exec", "-T", "--index", "2", "-e", "A=b", "-w", "/tmp", "web", "sh", "-c", "echo $A; pwd; exit 7",
                   status=7).stdout == "b\n/tmp\n"  # fmt: skip
    assert 'service "db" is not running' in compose("exec", "db", "true", status=1).stderr
    titles, first, second = compose("top", "web").lines
    assert titles.split()[:3] == ["SERVICE", "#", "UID"]
    assert [line.split()[:2] for line in (first, second)] == [["web", "1"], ["web", "2"]]
    assert [line.split()[1] for line in compose("stats", "--no-stream").lines[1:]] == ["demo-web-1", "demo-web-2"]
    assert compose("stats", "--no-stream", "db").lines[0].split()[:2] == ["CONTAINER", "ID"]
    (project.directory / "file").write_text("copied")
    compose("cp", "file", "web:/tmp/")
    for index in ("1", "2"):
        assert compose("exec", "--index", index, "web", "cat", "/tmp/file").stdout == "copied"
    compose("cp", "--index", "2", "web:/tmp/file", "back")
    assert (project.directory / "back").read_text() == "copied"
    assert "copying between services" in compose("cp", "web:/a", "db:/b", status=1).stderr
    assert "unknown copy direction" in compose("cp", "a", "b", status=1).stderr
    assert compose("commit", "web", "made:1").stdout.startswith("sha256:")
    compose("export", "-o", "web.tar", "--index", "2", "web")
    assert (project.directory / "web.tar").stat().st_size > 1_000_000


def test_what_ends(sandbox: Sandbox, project: _Project) -> None:
    """pause, kill, wait, events, rm."""
    compose = project.compose
    project.add("web", 1, "trap 'exit 5' TERM; echo set; while :; do sleep 0.1; done", "--network", "none")
    project.add("db", 1, "exec sleep 1000", "--network", "none")
    sandbox.wait_for_log("demo-web-1", "set")
    # in a dry run nothing is done, wherever it is asked for
    for words in (("--dry-run", "kill"), ("pause", "--dry-run"), ("rm", "-s", "--dry-run"), ("--dry-run", "stop"),
                  ("exec", "--dry-run", "web", "touch", "/x"), ("cp", "--dry-run", "web:/bin/sh", "out"),
                  ("run", "--dry-run", "--no-deps", "db")):  # fmt: skip
        assert "DRY-RUN MODE -  Container " in compose(*words).stderr, words
    assert compose("ps", "-a", "--format", "{{.Name}} {{.State}}").lines == ["demo-db-1 running", "demo-web-1 running"]
    assert not (project.directory / "out").exists()
    assert compose("pause", "db").stderr == " Container demo-db-1 Paused \n"
    assert compose("ps", "--status", "paused", "--services").lines == ["db"]
    assert "already paused" in compose("pause", "db", status=1).stderr
    assert "is not paused" in compose("unpause", status=1).stderr
    assert compose("ps", "--status", "paused", "-q").stdout == ""
    assert compose("rm", "-f").stderr == "No stopped containers\n"

    assert (
        compose("kill", "-s", "TERM", "web").stderr == " Container demo-web-1 Killing \n Container demo-web-1 Killed \n"
    )
    assert sandbox.run("wait", "demo-web-1").stdout == "5\n"
    assert compose("kill").stderr == " Container demo-db-1 Killing \n Container demo-db-1 Killed \n"
    assert compose("kill").stderr == "No container to kill\n"
    found = [json.loads(line) for line in compose("events", "--json", "--since", "10m", "--until", "0s").lines]
    assert ("die", "web") in [(event["action"], event["service"]) for event in found]
    assert not any(key.startswith("com.docker.compose") for event in found for key in event["attributes"])
    assert compose("events", "--since", "10m", "--until", "0s", "nope", status=1).stdout == ""

    assert "Going to remove demo-web-1" in compose("rm", "web").stdout
    assert len(compose("ps", "-aq").lines) == 2
    removed = compose("rm", "-f", "web")
    assert removed.stdout == "Going to remove demo-web-1\n"
    sandbox.run("start", "demo-db-1")
    assert "Removed" in compose("rm", "-fsv").stderr
    assert compose("ps", "-a", "-q").stdout == ""


def test_waiting_is_for_what_runs(project: _Project) -> None:
    assert 'no containers for project "demo"' in project.compose("wait", "web", status=1).stderr
    number, name, waited = 0, "", None
    while waited is None or (waited.status == 1 and number < 7):
        # on a machine that is busy it may have ended before it is waited for: then the next one has longer
        number += 1
        name = project.add("web", number, f"sleep {2**number}; exit 5", "--network", "none")
        waited = project.compose("wait", "web", status=None)
    assert waited.status == 5
    assert re.fullmatch('container "[0-9a-f]{64}" exited with status code 5\n', waited.stdout)
    assert name in project.compose("ps", "-a", "--status", "exited").stdout


def test_logs_are_followed_also_of_what_starts_later(sandbox: Sandbox, project: _Project) -> None:
    project.add("web", 1, "echo early; exec sleep 1000", "--network", "none")
    with sandbox.spawn("compose", "-p", "demo", "logs", "-f") as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"web-1  | early\n"
        project.add("db", 1, "echo late; exit 4", "--network", "none")
        assert follower.stdout.readline() == b"db-1   | late\n"
        assert follower.stdout.readline() == b"db-1 exited with code 4\n"
        # again, by a monitor of its own
        sandbox.run("start", "demo-db-1")
        assert follower.stdout.readline() == b"db-1   | late\n"
        assert follower.stdout.readline() == b"db-1 exited with code 4\n"
        sandbox.run("kill", "demo-web-1")
        # it has ended with the last of them
        assert follower.stdout.read() == b"web-1 exited with code 137\n"
        assert follower.wait(60) == 0
    assert project.compose("logs", "-f", "--tail", "0").stdout == ""
