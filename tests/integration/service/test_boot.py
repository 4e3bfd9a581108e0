"""Services that come after others, and services after a reboot, with real containers."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sandbox.service import operations, ports
from sandbox.service.published import published_ports
from sandbox.service.spec import SECOND_NS, ServicePort
from sandbox.state import open_state
from sandbox.values import HealthCheck
from tests import leaks
from tests.integration.container.conftest import busybox, busybox_home, busybox_tar
from tests.integration.service.services import Services
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.service.task import Task
    from tests.command import Sandbox

__all__ = ["busybox", "busybox_home", "busybox_tar"]

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox"), pytest.mark.slow]


@pytest.fixture
def services(sandbox: Sandbox, busybox: str) -> Iterator[Services]:
    made = Services(sandbox)
    yield made
    made.remove_all()


def _crash(sandbox: Sandbox) -> None:
    """What a power failure leaves: no process, no runtime directory, and records of another boot."""
    while found := leaks.processes_of(str(sandbox.home.root)):
        leaks.kill(found)
        for line in found:
            leaks.wait_ended(int(line.split()[0]))
    shutil.rmtree(sandbox.home.runtime)
    os.mkdir(sandbox.home.runtime, 0o700)
    with closing(sqlite3.connect(sandbox.home.data / "sandbox/state.db")) as database, database:
        database.execute("UPDATE container SET state = json_set(state, '$.boot_id', 'before')")


def _is_checked(tasks: list[Task]) -> bool:
    """Whether its container runs, and has not been healthy yet."""
    return any(task.state == "starting" and task.pid for task in tasks)


def test_one_comes_after_another_and_both_after_a_reboot(services: Services, sandbox: Sandbox, busybox: str) -> None:
    health = HealthCheck(("CMD", "busybox", "test", "-e", "/up"), interval_ns=SECOND_NS // 10, start_period_ns=10**12)
    db = operations.create(services.context, services.spec(busybox, "db", request={"health": health}))
    spec = services.spec(busybox, "web", 2, ports=(ServicePort(80),), after=("db",))
    web = operations.create(services.context, spec._replace(request=spec.request._replace(network_mode=None)))
    (waits,) = services.wait(db, lambda _, tasks: _is_checked(tasks[-1:]))
    # made ready, and not started
    services.wait(web, lambda _, tasks: [task.state for task in tasks] == ["ready", "ready"])
    sandbox.run("exec", waits.container_id, "busybox", "touch", "/up")
    (first,) = services.wait_running(db, 1)
    before = services.wait_running(web, 2)
    assert all(task.running_ns > first.running_ns for task in before)
    with open_state(services.paths) as connection:
        listens = published_ports(connection, web.id)
    # a port that nobody named is shown as it was chosen
    (chosen,) = {port.published for port in listens}
    form = "{{(index .Endpoint.Ports 0).PublishedPort}}"
    assert sandbox.run("service", "inspect", "-f", form, "web").lines == [str(chosen)]
    assert sandbox.run("service", "ls", "-f", "name=web", "--format", "{{.Ports}}").lines == [f"*:{chosen}->80/tcp"]

    _crash(sandbox)
    assert ports.look_at(services.paths, web) is None
    assert sandbox.run("system", "autostart", "run").lines == []
    again = services.wait(db, lambda _, tasks: tasks[-1].id != waits.id and _is_checked(tasks[-1:]))[-1]
    sandbox.run("exec", again.container_id, "busybox", "touch", "/up")
    services.wait_running(db, 1)
    after = services.wait_running(web, 2)
    assert not {task.id for task in before} & {task.id for task in after}
    services.wait(web, lambda _, tasks: sum(task.is_member for task in tasks) == 2)
    info = ports.look_at(services.paths, web)
    assert info is not None
    assert {one.host_port for one in info.ports} == {chosen}
