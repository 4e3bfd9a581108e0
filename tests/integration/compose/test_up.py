"""Projects brought up and taken down, with real containers: each of the keys that files use most, in one project."""

from __future__ import annotations

import json
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.command import Finished, Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "busybox"), pytest.mark.slow]

_FILE = """
services:
  db:
    image: ${IMAGE:-busybox}
    command: [sh, -c, 'echo up; exec sleep 1000']
    restart: always
    volumes: [data:/data, ./bound:/bound:ro, /unnamed]
    environment: {PLAIN: a$$b, FROM_FILE: "${FROM_ENV}"}
    networks: {back: {aliases: [store]}}
    healthcheck: {test: [CMD, test, -e, /tmp/healthy], interval: 1s, retries: 100}
    stop_signal: KILL
    expose: ['6379']
  web:
    build: .
    container_name: mine
    entrypoint: [sh, -c]
    command: ['cat /run/secrets/word /etc/conf; exec sleep 1000']
    depends_on:
      db: {condition: service_healthy, restart: true}
      job: {condition: service_completed_successfully}
    env_file: [web.env]
    hostname: webhost
    labels: {own.label: x}
    tmpfs: [/scratch]
    ulimits: {nofile: {soft: 100, hard: 200}}
    read_only: true
    user: "1000"
    platform: linux/amd64
    pull_policy: missing
    security_opt: [no-new-privileges]
    stdin_open: true
    tty: true
    stop_signal: KILL
    deploy: {resources: {limits: {pids: 50}}}
    secrets: [word]
    configs: [{source: conf, target: /etc/conf}]
    ports: ['127.0.0.1:%(port)s:80']
    networks: [default, back]
  job: {image: busybox, command: 'true', network_mode: none}
  off: {image: busybox, profiles: [extra]}
networks: {back: {internal: true}}
volumes: {data: }
secrets: {word: {file: ./word}}
configs: {conf: {content: "written\\n"}}
"""


_TRAPS = "'trap \"echo bye; exit 0\" TERM; echo here; while :; do sleep 0.1; done'"


class _Project:
    """A directory with a Compose file, and what is asked about it."""

    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox = sandbox
        self.directory = directory
        directory.mkdir()

    def write(self, text: str) -> None:
        (self.directory / "compose.yaml").write_text(text)

    def compose(self, *words: str, status: int = 0) -> Finished:
        return self.sandbox.run("compose", *words, status=status, cwd=self.directory)

    def inspect(self, name: str) -> dict[str, Any]:
        (document,) = json.loads(self.sandbox.run("inspect", name).stdout)
        assert isinstance(document, dict)
        return document

    def ids(self) -> dict[str, str]:
        lines = self.sandbox.run("ps", "-a", "--no-trunc", "--format", "{{.Names}} {{.ID}}").lines
        return {name: identifier for name, _, identifier in (line.partition(" ") for line in lines)}


@pytest.fixture
def project(sandbox: Sandbox, busybox: str, tmp_path: Path) -> Iterator[_Project]:
    made = _Project(sandbox, tmp_path / "demo")
    yield made
    made.compose("down", "-v", "-t", "0", "--remove-orphans")


def _fill(project: _Project) -> None:
    directory = project.directory
    (directory / "Dockerfile").write_text("FROM busybox\nRUN echo built > /built\n")
    (directory / ".env").write_text("FROM_ENV=from the file\n")
    (directory / "web.env").write_text("IN_FILE=yes\n")
    (directory / "word").write_text("secret\n")
    (directory / "bound").mkdir()
    (directory / "bound/file").write_text("bound\n")
    project.write(_FILE % {"port": find_free_port()})


@pytest.mark.requires("slirp4netns", "tap")
def test_a_project_comes_changes_and_goes(project: _Project) -> None:
    _fill(project)
    sandbox, compose = project.sandbox, project.compose
    with_health = "i=0; until [ -e /tmp/healthy ]; do sleep 0.1; touch /tmp/healthy; done"
    project.write((project.directory / "compose.yaml").read_text().replace("exec sleep 1000']\n    restart",
                  f"{with_health}; exec sleep 1000']\n    restart"))  # fmt: skip
    done = compose("up", "-d")
    # of the builds alone
    assert all(line.startswith("#") for line in done.stdout.splitlines() if line), done.stdout
    assert "RUN echo built" in done.stdout
    lines = [line.strip() for line in done.stderr.splitlines()]
    order = ["Container demo-db-1 Started", "Container demo-db-1 Healthy", "Container mine Starting"]
    assert [line for line in lines if line in order] == order
    assert "Network demo_back Created" in lines
    assert "Volume demo_data Created" in lines

    web, db = project.inspect("mine"), project.inspect("demo-db-1")
    config, host = web["Config"], web["HostConfig"]
    assert (config["Hostname"], config["User"], config["Tty"], config["OpenStdin"]) == ("webhost", "1000", True, True)
    assert "IN_FILE=yes" in config["Env"]
    assert (config["Labels"]["own.label"], config["Labels"]["com.docker.compose.service"]) == ("x", "web")
    assert config["Labels"]["com.docker.compose.depends_on"] == (
        "db:service_healthy:true,job:service_completed_successfully:false"
    )
    assert (host["ReadonlyRootfs"], host["SecurityOpt"], host["PidsLimit"]) == (True, ["no-new-privileges"], 50)
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 100, "Hard": 200}]
    assert sorted(web["NetworkSettings"]["Networks"]) == ["demo_back", "demo_default"]
    sandbox.wait_for_log("mine", "written")
    assert "secret" in sandbox.run("logs", "mine").stdout
    assert sandbox.run("exec", "mine", "cat", "/built").stdout == "built\n"
    assert {"PLAIN=a$b", "FROM_FILE=from the file"} <= set(db["Config"]["Env"])
    assert db["HostConfig"]["RestartPolicy"]["Name"] == "always"
    assert sandbox.run("exec", "demo-db-1", "cat", "/bound/file").stdout == "bound\n"
    assert "store" in db["NetworkSettings"]["Networks"]["demo_back"]["Aliases"]
    unnamed = [mount["Name"] for mount in db["Mounts"] if mount["Destination"] == "/unnamed"]

    # nothing to do; then another configuration of one service, which the other asks to be restarted with
    before = project.ids()
    assert "Creat" not in compose("up", "-d", "db").stderr
    assert project.ids() == before
    text = (project.directory / "compose.yaml").read_text()
    project.write(text.replace("expose: ['6379']", "expose: ['6380']"))
    assert "Container demo-db-1 Recreate (config hash diverged)" in compose("--dry-run", "up", "-d").stderr
    assert project.ids() == before
    said = [line.strip() for line in compose("up", "-d").stderr.splitlines()]
    assert said.index("Container mine Stopped") < said.index("Container demo-db-1 Recreated")
    after = project.ids()
    assert (after["mine"], after["demo-db-1"] == before["demo-db-1"]) == (before["mine"], False)
    assert [
        mount["Name"] for mount in project.inspect("demo-db-1")["Mounts"] if mount["Destination"] == "/unnamed"
    ] == unnamed

    # a service that is in no file any more
    project.write("services:\n  db: {image: busybox, command: sleep 1000, stop_signal: KILL, network_mode: none}\n")
    assert "Found orphan containers ([demo-job-1 mine])" in compose("up", "-d").stderr
    compose("up", "-d", "--remove-orphans")
    assert set(project.ids()) == {"demo-db-1"}
    told = compose("-p", "demo", "down", "-v", "--rmi", "all").stderr.splitlines()
    assert [line.strip() for line in told if "Image" in line] == [
        "Image busybox:latest Removing",
        "Image busybox:latest Removed",
    ]
    assert project.ids() == {}
    assert compose("down").stderr == 'Warning: No resource found to remove for project "demo".\n'


def test_scale_start_stop_and_what_is_refused(project: _Project) -> None:
    compose = project.compose
    rest = "image: busybox, command: sleep 1000, stop_signal: KILL, network_mode: none"
    project.write(
        f"services:\n  a: {{{rest}}}\n  b: {{{rest}, depends_on: [a]}}\n  c: {{{rest}, container_name: third}}\n"
    )
    compose("create")
    assert set(project.sandbox.run("ps", "-a", "--format", "{{.State}}").lines) == {"created"}
    stderr = compose("start").stderr
    assert stderr.index("Container demo-a-1 Started") < stderr.index("Container demo-b-1 Starting")
    compose("scale", "a=3")
    assert {"demo-a-1", "demo-a-2", "demo-a-3"} <= set(project.ids())
    compose("up", "-d", "--scale", "a=1", "a")
    assert set(project.ids()) == {"demo-a-1", "demo-b-1", "third"}
    assert (
        'The "c" service is using the custom container name "third"' in compose("up", "--scale", "c=2", status=1).stderr
    )
    stderr = compose("stop").stderr
    assert stderr.index("Container demo-b-1 Stopped") < stderr.index("Container demo-a-1 Stopping")
    compose("restart", "a")
    assert project.inspect("demo-a-1")["State"]["Running"]
    assert "no such service: d" in compose("up", "-d", "d", status=1).stderr


def test_limits_may_be_wishes(project: _Project) -> None:
    rest = "image: busybox, command: sleep 1000, stop_signal: KILL, network_mode: none"
    project.write(f"services:\n  a: {{{rest}, mem_limit: 64m, cpus: 4096}}\n")
    # what it says is so wherever tests run: with cgroups that a user may limit, and without
    stderr = project.compose("--best-effort", "up", "-d").stderr
    assert "WARNING: services.a.cpus is 4096, and this machine has " in stderr
    (before,) = project.ids().items()
    assert not project.compose("up", "--best-effort", "-d", "a").stdout
    # it is as it should be, with the option and without
    project.compose("up", "-d")
    assert list(project.ids().items()) == [before]
    project.write(f"services:\n  a: {{{rest}, cap_add: [NOPE]}}\n  b: {{image: busybox, cap_add: [NOPE]}}\n")
    stderr = project.compose("up", "-d", status=1).stderr
    assert "services.a.cap_add: invalid CapAdd/CapDrop: unknown capability: 'CAP_NOPE'" in stderr
    # and nothing has been made for the other
    assert "demo_default" not in project.sandbox.run("network", "ls").stdout
    assert list(project.ids().items()) == [before]


def test_keys_that_are_not_done_are_never_passed_over(project: _Project) -> None:
    compose = project.compose
    rest = "image: busybox, command: sleep 1000, stop_signal: KILL, network_mode: none"
    project.write(
        f"services:\n  a: {{{rest}, runtime: kata, build: {{context: ., privileged: true}}}}\n"
        f"  b: {{{rest}, gpus: all}}\n  c: {{image: busybox, volumes: [{{type: image, source: x, target: /x}}]}}\n"
    )
    for words in (("up", "-d"), ("up", "-d", "b"), ("create",), ("run", "b"), ("--dry-run", "up")):
        stderr = compose(*words, status=1).stderr
        assert "compose.yaml:3:" in stderr
        assert "services.b.gpus: this is not supported: devices of drivers are not built yet" in stderr
    # nor is anything made for what cannot be
    assert "services.c.volumes: mount type 'image' is not supported" in compose("run", "c", status=1).stderr
    assert "demo_default" not in project.sandbox.run("network", "ls").stdout
    stderr = compose("up", "-d", "a").stderr
    assert "WARNING: services.a.runtime is left out: there is one runtime" in stderr
    # it was not built
    assert "privileged" not in stderr
    assert set(project.ids()) == {"demo-a-1"}
    assert "services.a.build.privileged is left out" in compose("--dry-run", "build", "a").stderr


def test_a_dependency_that_fails_is_told_with_its_last_words(project: _Project) -> None:
    rest = "image: busybox, stop_signal: KILL, network_mode: none"
    project.write(
        f"services:\n  sick: {{{rest}, command: sleep 1000, "
        "healthcheck: {test: [CMD, sh, -c, 'echo no room left; exit 1'], interval: 0.2s, retries: 1}}\n"
        f"  ends: {{{rest}, command: sh -c 'exit 3'}}\n"
        f"  a: {{{rest}, command: sleep 1000, depends_on: {{sick: {{condition: service_healthy}}}}}}\n"
        f"  b: {{{rest}, command: sleep 1000, depends_on: {{ends: {{condition: service_completed_successfully}}}}}}\n"
        f"  c: {{{rest}, command: sleep 1000, depends_on: "
        "{ends: {condition: service_completed_successfully, required: false}}}\n"
    )
    sick = project.compose("up", "-d", "a", status=1).stderr
    assert "dependency failed to start: container demo-sick-1 is unhealthy" in sick
    assert "its last check exited with 1 and said: no room left" in sick
    assert project.inspect("demo-a-1")["State"]["Status"] == "created"
    ended = project.compose("up", "-d", "b", status=1).stderr
    assert 'service "ends" didn\'t complete successfully: exit 3' in ended
    assert 'optional dependency "ends" failed to start' in project.compose("up", "-d", "c").stderr
    assert project.inspect("demo-c-1")["State"]["Running"]


def test_who_looks_on_sees_the_lines_and_stops_all(project: _Project) -> None:
    rest = "image: busybox, network_mode: none"
    project.write(
        "services:\n"
        f"  one: {{{rest}, command: sh -c 'echo first; echo error >&2; exit 4'}}\n"
        f"  other: {{{rest}, command: [sh, -c, {_TRAPS}]}}\n"
    )
    done = project.compose("up", "--exit-code-from", "one", status=4)
    lines = done.stdout.splitlines()
    assert lines[0] == "Attaching to one-1, other-1"
    assert {"one-1    | first", "one-1 exited with code 4"} <= set(lines)
    assert "one-1    | error" in done.stderr.splitlines()
    assert "Aborting on container exit..." in done.stderr
    assert not project.inspect("demo-other-1")["State"]["Running"]

    process = subprocess.Popen(
        project.sandbox.words("compose", "up", "other"), cwd=project.directory, env=project.sandbox.home.env,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line == "other-1  | here\n":
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "other-1  | bye\nother-1 exited with code 0\n" in out
    assert "Gracefully Stopping... press Ctrl+C again to force" in err


def test_two_at_once_make_one_project(project: _Project) -> None:
    services = "".join(
        f"  s{number}: {{image: busybox, command: sleep 1000, stop_signal: KILL, network_mode: none}}\n"
        for number in range(4)
    )
    project.write(f"services:\n{services}")
    processes = [
        subprocess.Popen(
            project.sandbox.words("compose", "up", "-d"), cwd=project.directory, env=project.sandbox.home.env,
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    told = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], told
    assert sum(text.count(" Creating") for text in told) == 4
    assert set(project.ids()) == {f"demo-s{number}-1" for number in range(4)}


def test_who_waits_is_told_of_what_ends_at_once(sandbox: Sandbox, busybox: str) -> None:
    path = sandbox.home.root / "compose.yaml"
    path.write_text(f"services: {{x: {{image: {busybox}, command: [sh, -c, 'exit 3'], network_mode: none}}}}\n")
    told = sandbox.run("compose", "-p", "short", "up", "-d", "--wait", status=1)
    assert "container short-x-1 exited (3)" in told.stderr
    path.write_text(f"services: {{x: {{image: {busybox}, command: [sleep, '1000'], network_mode: none}}}}\n")
    sandbox.run("compose", "-p", "short", "up", "-d", "--wait")
    # but for what another one waits for the end of
    rest = f"image: {busybox}, network_mode: none"
    path.write_text(
        f"services:\n  job: {{{rest}, command: 'true'}}\n"
        f"  x: {{{rest}, command: [sleep, '1000'], depends_on: {{job: "
        "{condition: service_completed_successfully}}}\n"
    )
    sandbox.run("compose", "-p", "short", "up", "-d", "--wait")
    assert sandbox.run("compose", "-p", "short", "ps", "--format", "{{.Service}} {{.State}}").lines == ["x running"]
    sandbox.run("compose", "-p", "short", "down", "-t", "0")
