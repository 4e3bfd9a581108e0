"""Services and tasks as rows: what is written is read, words find them, a container's change is its service's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.container.model.store import insert_container, update_state
from sandbox.container.model.transitions import StartFailed
from sandbox.container.request.request import ContainerRequest
from sandbox.errors import ConflictError, NotFoundError, SandboxError
from sandbox.paths import Paths
from sandbox.service.record import UpdateRun, UpdateStatus
from sandbox.service.spec import (
    RestartRule,
    ServiceMode,
    ServicePort,
    ServiceSpec,
    UpdateConfig,
    spec_from_json,
    spec_to_json,
    template_of,
)
from sandbox.service.store import (
    all_services,
    delete_service,
    due_services,
    find_service,
    find_task,
    insert_service,
    insert_task,
    load_service,
    new_id,
    prune_specs,
    spec_of_task,
    tasks_of,
    update_service,
    update_task,
)
from sandbox.state import connect_state
from sandbox.swarm_of_one import node_id
from sandbox.transactions import transaction
from sandbox.values import EndpointRequest, HealthCheck
from tests.sandbox.service.values import service_of, spec_named, task_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

FULL = ServiceSpec(
    "web",
    ContainerRequest(
        image="nginx:1", command=("nginx", "-g"), endpoints=(EndpointRequest("front", aliases=("web",)),),
        health=HealthCheck(test=("CMD", "true"), retries=2),
    ),
    labels=(("a", "b"),),
    mode=ServiceMode("replicated-job", 7, 2),
    endpoint_mode="dnsrr",
    ports=(ServicePort(80, 8080), ServicePort(53, protocol="udp", mode="host")),
    update=UpdateConfig(2, 10, "rollback", 20, 0.25, "start-first"),
    rollback=UpdateConfig(0),
    restart=RestartRule("on-failure", 1, 2, 3),
    force_update=3,
    constraints=("node.role==manager",),
    affinity=True,
    after=("db",),
)  # fmt: skip


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = connect_state(Paths(str(tmp_path), str(tmp_path), str(tmp_path)))
    yield made
    made.close()


def test_a_spec_survives_its_text() -> None:
    assert spec_from_json(spec_to_json(FULL)) == FULL
    assert spec_from_json(spec_to_json(spec_named())) == spec_named()


def test_a_service_survives_its_row(connection: sqlite3.Connection) -> None:
    service = service_of(
        FULL, stack="shop", previous_spec=spec_named(), status=UpdateStatus("updating", "update in progress", 5),
        run=UpdateRun(3, 7, 9),
    )  # fmt: skip
    with transaction(connection):
        insert_service(connection, service)
    assert find_service(connection, "web") == service
    changed = service._replace(version=2, spec_version=2, spec=spec_named(), status=None, run=None)
    with transaction(connection):
        update_service(connection, changed, 0)
    assert load_service(connection, "s1") == changed
    assert due_services(connection) == []


def test_a_task_survives_its_row(connection: sqlite3.Connection) -> None:
    service = service_of(FULL)
    task = task_of(service, restarts=(1, 2), error="no", at_rest=True, running_ns=4)
    with transaction(connection):
        insert_service(connection, service)
        insert_task(connection, task)
    assert tasks_of(connection, "s1") == [task]
    assert spec_of_task(connection, task) == FULL
    with transaction(connection):
        update_task(connection, task._replace(container_id="c1", state="running"))
    assert find_task(connection, "web.1.t1").container_id == "c1"


def test_specs_go_with_the_last_task_of_their_version(connection: sqlite3.Connection) -> None:
    first = service_of(FULL)
    second = first._replace(spec=spec_named(), version=2, spec_version=2)
    with transaction(connection):
        insert_service(connection, first)
        update_service(connection, second)
        prune_specs(connection, second, [task_of(first)])
    assert spec_of_task(connection, task_of(first)) == FULL
    with transaction(connection):
        prune_specs(connection, second, [task_of(second)])
    assert spec_of_task(connection, task_of(first)) is None
    assert spec_of_task(connection, task_of(second)) == spec_named()


def test_words_find_services_and_tasks(connection: sqlite3.Connection) -> None:
    with transaction(connection):
        for service_id, name in (("abc1", "web"), ("abc2", "cache")):
            insert_service(connection, service_of(spec_named(name), id=service_id))
    assert [find_service(connection, word).id for word in ("web", "abc2", "cache", "abc1")] == [
        "abc1", "abc2", "abc2", "abc1",
    ]  # fmt: skip
    with pytest.raises(SandboxError, match=r"service abc is ambiguous \(2 matches found\)"):
        find_service(connection, "abc")
    with pytest.raises(NotFoundError, match="service wep not found") as caught:
        find_service(connection, "wep")
    assert caught.value.near == "web"
    with pytest.raises(NotFoundError, match=r"task web\.1\.nope not found"):
        find_task(connection, "web.1.nope")


def test_a_name_is_one_services_until_that_is_being_removed(connection: sqlite3.Connection) -> None:
    first = service_of(spec_named())
    with transaction(connection):
        insert_service(connection, first)
    with pytest.raises(ConflictError, match="service web already exists"), transaction(connection):
        insert_service(connection, first._replace(id="s2"))
    with transaction(connection):
        update_service(connection, first._replace(removing=True))
        insert_service(connection, first._replace(id="s2"))
    assert find_service(connection, "web").id == "s2"
    assert [service.id for service in all_services(connection)] == ["s2"]
    assert [service.id for service in all_services(connection, removing=True)] == ["s1", "s2"]


def test_a_containers_change_makes_its_service_due(connection: sqlite3.Connection) -> None:
    service = service_of(spec_named())
    with transaction(connection):
        insert_service(connection, service)
        insert_task(connection, task_of(service, container_id="c" * 64))
    container = Container("c" * 64, "web.1.t1", 1, ContainerConfig("a", "b", (), ()), ContainerState())
    insert_container(connection, container)
    insert_container(connection, container._replace(id="d" * 64, name="other"))
    for change in ("UPDATE", "DELETE"):
        with transaction(connection):
            update_service(connection, service, 0)
        if change == "UPDATE":
            update_state(connection, "d" * 64, StartFailed(1, "no").apply)
            assert due_services(connection) == []
            update_state(connection, container.id, StartFailed(1, "no").apply)
        else:
            connection.execute("DELETE FROM container WHERE id = ?", (container.id,))
        assert due_services(connection) == [("s1", 1)]
    with transaction(connection):
        delete_service(connection, "s1")
    assert tasks_of(connection, "s1") == []


def test_a_template_is_what_a_task_is_made_of() -> None:
    template = template_of(FULL)
    alike = (
        FULL._replace(labels=(), mode=ServiceMode(replicas=9), update=None, name="other"),
        FULL._replace(ports=(*FULL.ports, ServicePort(443, 8443)), endpoint_mode="vip", affinity=False),
        FULL._replace(request=FULL.request._replace(pull_policy="always")),
    )
    assert {template_of(spec) for spec in alike} == {template}
    others = (
        FULL._replace(request=FULL.request._replace(image="nginx:2")),
        FULL._replace(force_update=4),
        FULL._replace(restart=None),
        FULL._replace(ports=()),
    )
    assert len({template_of(spec) for spec in others} | {template}) == 5


def test_ids_are_25_digits_and_a_node_has_one(connection: sqlite3.Connection) -> None:
    ids = {new_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(each) == 25 and each.isalnum() and each == each.lower() for each in ids)
    assert node_id(connection) == node_id(connection)
