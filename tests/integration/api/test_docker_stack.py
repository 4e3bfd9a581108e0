"""Debian's `docker stack`, `docker service` and `docker node` over the socket: a stack comes up, is changed, goes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox
    from tests.integration.api.conftest import DockerCommand

pytestmark = [
    pytest.mark.requires("subids", "overlay", "docker"),
    pytest.mark.usefixtures("leaves_no_service"),
]

STACK = """
version: "3.8"
services:
  web:
    image: {image}
    command: [sh, -c, 'cat /run/secrets/word /given; exec httpd -f -p 80 -h /run/secrets']
    networks: {{inner: {{aliases: [other]}}}}
    environment: {{AS: "{{{{.Task.Slot}}}}"}}
    secrets: [word]
    configs: [{{source: given, target: /given}}]
    deploy: {{replicas: {replicas}, restart_policy: {{condition: on-failure}}}}
    stop_grace_period: 0s
  ask:
    image: {image}
    command: [sh, -c, 'until wget -q -O- http://other/word; do :; done; exec sleep 600']
    networks: [inner]
    deploy: {{endpoint_mode: dnsrr}}
    stop_grace_period: 0s
networks: {{inner: {{}}}}
secrets: {{word: {{file: ./word}}}}
configs: {{given: {{file: ./given, template_driver: golang}}}}
"""


def test_a_stack(
    command: DockerCommand, sandbox: Sandbox, busybox: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    deploy = _deployer(command, sandbox, busybox)
    made = deploy(1)
    assert {line.split()[1] for line in made} == {"network", "secret", "config", "service"}
    assert (
        command.lines("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}")[-1] == "st_inner overlay swarm"
    )
    eventually(lambda: command.run("service", "logs", "--raw", "st_ask").stdout == b"hidden\n")
    assert b"hidden\nshown to st_web 1 hidden\n" in command.run("service", "logs", "--raw", "st_web").stdout
    (line,) = command.lines("service", "logs", "st_ask")
    name, text = line.split(" | ")
    assert (name.split(".")[:2], text) == (["st_ask", "1"], "hidden")
    assert _services(command) == ["st_ask 1/1", "st_web 1/1"]
    # what nobody changed is not replaced
    before = sandbox.run("ps", "-q").lines
    assert all(line.startswith("Updating service st_") for line in deploy(2))
    eventually(lambda: _services(command) == ["st_ask 1/1", "st_web 2/2"])
    assert set(before) < set(sandbox.run("ps", "-q").lines)
    _check_changes(command, eventually)
    command.run("stack", "rm", "st")
    assert [sandbox.run(noun, "ls", "-q").lines for noun in ("service", "secret", "config")] == [[], [], []]
    assert "st_inner" not in command.lines("network", "ls", "--format", "{{.Name}}")
    assert sandbox.run("ps", "-aq").lines == []


def _deployer(command: DockerCommand, sandbox: Sandbox, image: str) -> Callable[[int], list[str]]:
    folder = sandbox.home.root
    for name, content in (("word", "hidden\n"), ("given", 'shown to {{.Service.Name}} {{env "AS"}} {{secret "word"}}')):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            file.write(content)

    def deploy(replicas: int) -> list[str]:
        with open(f"{folder}/stack.yaml", "w", encoding="utf-8") as file:
            file.write(STACK.format(image=image, replicas=replicas))
        return command.lines("stack", "deploy", "--resolve-image", "never", "-c", f"{folder}/stack.yaml", "st")

    return deploy


def _services(command: DockerCommand) -> list[str]:
    return sorted(command.lines("stack", "services", "--format", "{{.Name}} {{.Replicas}}", "st"))


def _check_changes(command: DockerCommand, eventually: Callable[[Callable[[], object]], None]) -> None:
    """A service is changed and put back, and what its tasks were made of is told."""
    command.run(
        "service", "update", "-d", "--no-resolve-image", "--env-add", "A=1", "--update-parallelism", "0", "st_web"
    )
    (service,) = json.loads(command.run("service", "inspect", "st_web").stdout)
    assert service["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["AS={{.Task.Slot}}", "A=1"]
    assert service["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Env"] == ["AS={{.Task.Slot}}"]
    command.run("service", "rollback", "-d", "st_web")
    state = ("service", "inspect", "-f", "{{.UpdateStatus.State}}", "st_web")
    eventually(lambda: command.lines(*state) == ["rollback_completed"])
    tasks = command.lines("stack", "ps", "--format", "{{.Name}} {{.DesiredState}}", "-f", "desired-state=running", "st")
    assert sorted(tasks) == ["st_ask.1 Running", "st_web.1 Running", "st_web.2 Running"]
    (node,) = command.lines("node", "ls", "--format", "{{.Status}} {{.ManagerStatus}}")
    assert node == "Ready Leader"
    assert len(command.lines("node", "ps", "-q", "-f", "desired-state=running")) == len(tasks)


def test_jobs(command: DockerCommand, busybox: str) -> None:
    """The client goes on when so many have completed: it looks for them in slots that count from 0."""
    create = ("service", "create", "--quiet", "--no-resolve-image", "--restart-condition", "any")
    shown = ("service", "ls", "--format", "{{.Name}} {{.Mode}} {{.Replicas}}")
    command.run(*create, "--name", "job", "--mode", "replicated-job", "--replicas", "2", busybox, "true")
    command.run(*create, "--name", "everywhere", "--mode", "global-job", busybox, "true")
    assert command.lines(*shown) == [
        "everywhere global job 0/0 (1/1 completed)", "job replicated job 0/2 (2/2 completed)",
    ]  # fmt: skip
    tasks = ("service", "ps", "--format", "{{.DesiredState}} {{.Error}}", "job")
    assert command.lines(*tasks) == ["Complete "] * 2
    # with each update all of it runs anew
    command.run("service", "scale", "job=3")
    command.run("service", "update", "--quiet", "--no-resolve-image", "--force", "job")
    assert command.lines(*tasks) == ["Complete "] * (2 + 3 + 3)
    assert command.lines(*shown)[1] == "job replicated job 0/2 (3/3 completed)"
    command.run("service", "rm", "job", "everywhere")
