"""Hooks, secrets and configs of a project that is brought up, changed and taken down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.command import Finished, Sandbox

pytestmark = [pytest.mark.requires("userns", "subids", "overlay", "busybox"), pytest.mark.slow]

_HOOKS = """
name: hooked
services:
  web:
    image: busybox
    command: sleep 1000
    stop_signal: KILL
    network_mode: none
    scale: 2
    volumes: [log:/log]
    environment: {WORD: %(word)s}
    pre_start:
      - {command: "sh -c 'echo once $$WORD >> /log/all'"}
      - {command: [sh, -c, 'echo each >> /log/all'], per_replica: true}
    post_start:
      - {command: [sh, -c, 'echo started $$MORE $$(id -u) >> /log/all'], user: '0', environment: {MORE: more}}
    pre_stop:
      - {command: [sh, -c, 'echo stopping >> /log/all']}
volumes: {log: }
"""
_SHOWN = """
name: shown
services:
  job:
    image: busybox
    command: [sh, -c, 'until [ -e /done ]; do usleep 20000; done; cat /done']
    network_mode: none
    pre_start: [{command: "echo before"}]
    post_start: [{command: [sh, -c, 'echo from the hook; echo ready > /made; mv /made /done']}]
"""
_GRANTS = """
name: granted
services:
  web:
    image: busybox
    command: sleep 1000
    stop_signal: KILL
    network_mode: none
    secrets: [plain, {source: owned, target: own, uid: '1000', gid: '1000', mode: 0400}, text, kept, theirs]
    configs: [inline, {source: inline, target: /etc/app.conf, mode: 0600}]
include: [{path: below/compose.yaml, env_file: below/own.env}]
secrets:
  plain: {file: ./plain}
  owned: {file: ./plain}
  text: {environment: TEXT}
  kept: {external: true, name: object}
configs:
  inline: {content: "inline $${WORD} ${TEXT}"}
"""
_INCLUDED = "services: {}\nsecrets: {theirs: {environment: OWN}}\n"


class _Project:
    def __init__(self, sandbox: Sandbox, directory: Path) -> None:
        self.sandbox, self.directory = sandbox, directory

    def write(self, text: str) -> None:
        (self.directory / "compose.yaml").write_text(text)

    def compose(self, *words: str, status: int = 0) -> Finished:
        return self.sandbox.run("compose", *words, status=status, cwd=self.directory, env={"TEXT": "from-the-shell"})

    def exec(self, container: str, script: str) -> list[str]:
        return self.sandbox.run("exec", container, "sh", "-c", script).lines


@pytest.fixture
def project(sandbox: Sandbox, busybox: str, tmp_path: Path) -> _Project:
    assert busybox == "busybox"
    return _Project(sandbox, tmp_path)


def test_hooks(project: _Project) -> None:
    sandbox, compose = project.sandbox, project.compose

    def log() -> list[str]:
        lines = sandbox.run("run", "--rm", "--network", "none", "-v", "hooked_log:/log", "busybox", "cat", "/log/all")
        sandbox.run("run", "--rm", "--network", "none", "-v", "hooked_log:/log", "busybox", "rm", "/log/all")
        return lines.lines

    project.write(_HOOKS % {"word": "first"})
    compose("up", "-d")
    said = log()
    # of two replicas, which go on side by side
    assert said[0] == "once first"
    assert sorted(said[1:]) == ["each", "each", "started more 0", "started more 0"]
    assert said.index("started more 0") > said.index("each")

    # nothing is new; one more replica has only what is for each
    compose("up", "-d", "--scale", "web=3")
    assert log() == ["each", "started more 0"]
    compose("up", "-d", "--scale", "web=1")
    assert log() == ["stopping"] * 2

    project.write(_HOOKS.replace("scale: 2", "scale: 1") % {"word": "second"})
    compose("up", "-d")
    assert log() == ["stopping", "once second", "each", "started more 0"]
    compose("restart", "-t", "0")
    assert log() == ["stopping", "started more 0"]
    compose("stop")
    compose("stop")
    compose("start")
    assert log() == ["stopping", "started more 0"]

    # one that fails is told, with what it said
    project.write(
        _HOOKS.replace("echo stopping", "echo it is wrong; exit 5").replace("scale: 2", "scale: 1") % {"word": ""}
    )
    assert "web hook exited with status 5" in (failed := compose("down", status=1)).stderr
    assert "cause: it is wrong" in failed.stderr
    project.write(_HOOKS.replace("echo once", "echo it is bad; exit 17") % {"word": "third"})
    failed = compose("up", "-d", status=1)
    assert "web pre_start[0] exited with code 17" in failed.stderr
    assert "cause: it is bad" in failed.stderr
    compose("down", "-v")
    assert sandbox.run("ps", "-aq").lines == []


def test_what_hooks_write_is_shown(project: _Project) -> None:
    project.write(_SHOWN)
    said = [line.split("|") for line in project.compose("up").lines if "|" in line]
    first, *others = [[prefix.strip(), text] for prefix, text in said]
    assert first == ["job pre_start[0] ->", " before"]
    # what a container says and what its hook says come by ways of their own
    assert sorted(others) == [["job-1", " ready"], ["job-1 ->", " from the hook"]]
    # its end is what the hook brings about
    assert project.compose("run", "--rm", "job").lines == ["ready"]
    project.compose("down")


def test_secrets_and_configs_of_every_form(project: _Project) -> None:
    (project.directory / "plain").write_text("of a file")
    (project.directory / "plain").chmod(0o644)
    os.mkdir(project.directory / "below")
    (project.directory / "below" / "compose.yaml").write_text(_INCLUDED)
    (project.directory / "below" / "own.env").write_text("OWN=of the include\n")
    project.sandbox.run("secret", "create", "object", "-", input="of the store")
    project.write(_GRANTS)
    project.compose("up", "-d")
    name = "granted-web-1"
    assert project.exec(name, "cd /run/secrets; for f in plain own text kept theirs; do cat $f; echo; done") == [
        "of a file", "of a file", "from-the-shell", "of the store", "of the include",
    ]  # fmt: skip
    assert project.exec(name, "cat /inline; echo; stat -c '%a %u' /etc/app.conf /run/secrets/own") == [
        "inline ${WORD} from-the-shell", "600 0", "400 1000",
    ]  # fmt: skip
    # a file that is mounted is as it is now
    (project.directory / "plain").write_text("changed")
    assert project.exec(name, "cat /run/secrets/plain; echo; cat /run/secrets/own") == ["changed", "of a file"]
    for words in (("inspect", name), ("events", "--since", "1h", "--until", "0s")):
        said = project.sandbox.run(*words).stdout
        assert not [text for text in ("from-the-shell", "of the store", "of the include") if text in said]
    project.compose("down")
