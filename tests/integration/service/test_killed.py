"""SIGKILL of what changes stacks and services, at any moment: the next command finishes, and nothing is left over.

The moments are drawn from a seed (SANDBOX_KILL_SEED) over the time that an undisturbed command takes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from sandbox.container.model.store import find_container
from sandbox.network import operations as networks
from sandbox.network.service_forwarders import find_forwarders
from sandbox.service.published import published_ports
from sandbox.service.spec import template_of
from sandbox.service.store import all_services, find_service, tasks_of
from sandbox.state import open_state
from tests.integration.container.conftest import busybox, busybox_home, busybox_tar
from tests.integration.service.services import Services
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.service.task import Task
    from tests.command import Sandbox

__all__ = ["busybox", "busybox_home", "busybox_tar"]

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox"), pytest.mark.slow]

_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "5"))
_FILE = """
services:
  web:
    image: IMAGE
    command: ["busybox", "sleep", "1000"]
    stop_signal: KILL
    environment: {WORD: "WORDED"}
    ports: ["80"]
    secrets: [key]
    configs: [{source: c, target: /c}]
    deploy: {replicas: REPLICAS, update_config: {parallelism: 0, monitor: 1ms}}
  none: {image: IMAGE, deploy: {replicas: 0}, environment: {WORD: "WORDED"}}
secrets: {key: {environment: KEY}}
configs: {c: {content: "of the file"}}
"""


@pytest.fixture
def services(sandbox: Sandbox, busybox: str) -> Iterator[Services]:
    made = Services(sandbox)
    yield made
    made.remove_all()


_ROUNDS = [
    pytest.param(3, 1, id="few"),
    pytest.param(100, 2, id="many", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
]


class _Stack:
    """A stack whose commands are killed."""

    def __init__(self, services: Services, image: str, replicas: int) -> None:
        self._services = services
        self._sandbox = services.sandbox
        self._text = _FILE.replace("IMAGE", image).replace("REPLICAS", str(replicas))
        self._replicas = replicas
        self._chance = random.Random(_SEED)
        #: how long a command has taken that nobody killed
        self._seconds: dict[str, float] = {}

    def write(self, word: str) -> None:
        (self._sandbox.home.root / "stack.yaml").write_text(self._text.replace("WORDED", word))

    def run(self, *words: str) -> None:
        began = time.monotonic()
        self._sandbox.run(*words, env={"KEY": "key"})
        self._seconds[words[1]] = time.monotonic() - began

    def killed(self, *words: str) -> None:
        """Run the command, and kill it at a moment of its life."""
        process = subprocess.Popen(
            self._sandbox.words(*words), cwd=self._sandbox.home.root, env={**self._sandbox.env, "KEY": "key"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        with suppress(subprocess.TimeoutExpired):
            process.wait(self._chance.uniform(0, self._seconds.get(words[1], 0.5)))
        process.send_signal(signal.SIGKILL)
        process.wait()

    def check_scaled(self, replicas: int) -> None:
        """So many replicas of it run, and nothing of any other stack, or of its own past but its history."""
        self._replicas = replicas
        self.check()
        self._services.wait(self._services.load_named("st_none"), lambda _, tasks: not tasks)
        with open_state(self._services.paths) as connection:
            going = [service.id for service in all_services(connection, removing=True) if service.removing]
        self._services.wait_gone(going)
        with open_state(self._services.paths) as connection:
            assert sorted(service.name for service in all_services(connection)) == ["st_none", "st_web"]
            kept = {task.container_id for task in tasks_of(connection, find_service(connection, "st_web").id)}
            containers = {str(row[0]) for row in connection.execute("SELECT id FROM container")}
            assert containers <= kept
            for table in ("secret", "config", "service_port"):
                assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (1,), table
        assert self._networks() == ["st_default"]

    def _networks(self) -> list[str]:
        listed = networks.list_all(self._services.context)
        return [network.name for network in listed if network.name.startswith("st_")]

    def check(self, *variables: str) -> None:
        """All of it runs, with these variables, and nothing beside it."""
        service = self._services.load_named("st_web")
        wanted = template_of(service.spec)
        tasks = [
            task
            for task in self._services.wait(service, lambda _, tasks: self._stands(tasks, wanted))
            if not task.is_over
        ]
        with open_state(self._services.paths) as connection:
            for task in tasks:
                container = find_container(connection, task.container_id)
                assert (container.name, container.state.status) == (f"st_web.{task.slot}.{task.id}", "running")
                assert set(variables) <= set(container.config.environment)
            assert [port.target for port in published_ports(connection, service.id)] == [80]
        assert [forwarder.service_id for forwarder in find_forwarders(self._services.paths)] == [service.id]

    def _stands(self, tasks: list[Task], wanted: str) -> bool:
        there = [task for task in tasks if not task.is_over]
        return len(there) == self._replicas and all(
            task.is_live and task.state == "running" and task.template == wanted for task in there
        )

    def check_gone(self) -> None:
        with open_state(self._services.paths) as connection:
            going = [service.id for service in all_services(connection, removing=True)]
        self._services.wait_gone(going)
        with open_state(self._services.paths) as connection:
            for table in ("container", "secret", "config", "task", "service", "service_port"):
                assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
        assert self._networks() == []
        assert list(find_forwarders(self._services.paths)) == []


@pytest.mark.parametrize(("rounds", "replicas"), _ROUNDS)
def test_the_next_command_finishes(services: Services, busybox: str, rounds: int, replicas: int) -> None:
    stack = _Stack(services, busybox, replicas)
    deploy = ("stack", "deploy", "-c", "stack.yaml", "st")
    update = ("service", "update", "-d", "st_web", "--env-add")
    for number in range(rounds):
        stack.write(f"w{number}")
        stack.killed(*deploy)
        stack.run(*deploy)
        if number % 2:
            stack.check(f"WORD=w{number}")
        stack.write(f"v{number}")
        stack.killed(*deploy)
        stack.killed(*update, f"A={number}")
        stack.killed("service", "rollback", "-d", "st_web")
        stack.run(*deploy)
        stack.run(*update, f"A={number}")
        stack.check(f"WORD=v{number}", f"A={number}")
        stack.killed("stack", "rm", "st")
        stack.run("stack", "rm", "st")
        stack.check_gone()


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_what_is_killed_while_it_scales_or_goes_is_there_as_asked_next(services: Services, busybox: str) -> None:
    stack = _Stack(services, busybox, 1)
    deploy = ("stack", "deploy", "-c", "stack.yaml", "st")
    stack.write("w")
    stack.run(*deploy)
    for number in range(100):
        stack.killed("service", "scale", f"st_web={1 + number % 3}")
        stack.killed("service", "scale", "-d", f"st_web={1 + (number + 1) % 3}", "st_none=1")
        stack.run("service", "scale", "-d", f"st_web={1 + (number + 2) % 3}", "st_none=0")
        stack.check_scaled(1 + (number + 2) % 3)
        stack.killed("stack", "rm", "st")
        stack.killed(*deploy)
        if number % 2:
            stack.killed("stack", "rm", "st")
        stack.run(*deploy)
        stack.check_scaled(1)
    stack.run("stack", "rm", "st")
    stack.check_gone()
