"""Services of real containers: brought up, scaled, updated, rolled back, whatever is killed in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.errors import ConflictError
from sandbox.service import looking, operations
from tests.integration.container.conftest import busybox, busybox_home, busybox_tar, eventually
from tests.integration.service.services import Services
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.service.task import Task
    from tests.command import Sandbox

__all__ = ["busybox", "busybox_home", "busybox_tar", "eventually"]

pytestmark = [pytest.mark.requires(*CONTAINER, "busybox"), pytest.mark.slow]

FAILS = ("busybox", "sh", "-c", "exit 3")
#: ten seconds is what Docker waits for
QUICK = {"stop_timeout_seconds": 60}


@pytest.fixture
def services(sandbox: Sandbox, busybox: str) -> Iterator[Services]:
    made = Services(sandbox)
    yield made
    made.remove_all()


def _names(sandbox: Sandbox) -> list[str]:
    return sorted(sandbox.run("ps", "--format", "{{.Names}}").lines)


def _containers(tasks: list[Task]) -> list[str]:
    return sorted(f"web.{task.slot}.{task.id}" for task in tasks)


def test_a_service_is_brought_up_scaled_and_removed(services: Services, sandbox: Sandbox, busybox: str) -> None:
    service = operations.create(services.context, services.spec(busybox))
    tasks = services.wait_running(service, 1)
    assert _names(sandbox) == _containers(tasks)
    labels = sandbox.run("inspect", "-f", "{{json .Config.Labels}}", tasks[0].container_id).stdout
    assert f'"com.docker.swarm.service.id":"{service.id}"' in labels
    assert f'"com.docker.swarm.task.name":"web.1.{tasks[0].id}"' in labels
    service = operations.scale(services.context, "web", 5)
    up = services.wait_running(service, 5)
    assert tasks[0] in up
    assert _names(sandbox) == _containers(up)
    service = operations.scale(services.context, "web", 2)
    up = services.wait_running(service, 2)
    assert [task.slot for task in up] == [1, 2]
    assert _names(sandbox) == _containers(up)
    counted = looking.list_all(services.context, ["name=web"])
    assert [(each.running, each.desired) for each in counted] == [(2, 2)]
    with pytest.raises(ConflictError, match="service web already exists"):
        operations.create(services.context, services.spec(busybox))
    operations.remove(services.context, "web")
    assert looking.list_all(services.context) == []
    services.wait_gone([service.id])
    assert sandbox.run("ps", "-aq").lines == []
