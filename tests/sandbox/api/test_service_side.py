"""Services and tasks as the server's documents, of rows with which nothing is to be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.api.service_side import node_id, nodes, service, services, task, tasks
from sandbox.errors import NotFoundError
from sandbox.grammar.filters import FilterError
from sandbox.operation_context import OperationContext
from sandbox.paths import find_paths
from sandbox.service.store import insert_service, insert_task, update_service
from sandbox.state import open_state
from sandbox.transactions import transaction
from tests.sandbox.service.values import service_of, spec_named, task_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def context(tmp_path: Path) -> OperationContext:
    """One that has a service `web` with one task that runs."""
    env = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    found = OperationContext(find_paths(env), env)
    web = service_of(spec_named(labels=(("mine", "1"),)))
    with open_state(found.paths) as connection, transaction(connection):
        insert_service(connection, web)
        insert_task(connection, task_of(web, state="running"))
        # nothing is due: nobody comes to decide
        update_service(connection, web, 0)
    return found


def test_services_and_tasks(context: OperationContext) -> None:
    (found,) = services(context, ("label=mine=1",), status=True)
    assert (found["ID"], found["Spec"]["Name"]) == ("s1", "web")
    assert found["ServiceStatus"] == {"RunningTasks": 1, "DesiredTasks": 1, "CompletedTasks": 0}
    assert services(context, ("label=other",), status=False) == []
    assert "UpdateConfig" not in service(context, "web", defaults=False)["Spec"]
    assert service(context, "web", defaults=True)["Spec"]["UpdateConfig"]["Parallelism"] == 1
    (row,) = tasks(context, ("service=web", "desired-state=running"))
    assert row == task(context, "t1")
    assert (row["ServiceID"], row["Status"]["State"], row["NodeID"]) == ("s1", "running", node_id(context))
    assert tasks(context, ("desired-state=shutdown",)) == []
    with pytest.raises(NotFoundError, match="service other not found"):
        service(context, "other", defaults=False)


def test_the_node_and_its_filters(context: OperationContext) -> None:
    (node,) = nodes(context, ())
    assert node["ID"] == node_id(context)
    assert nodes(context, (f"id={node['ID'][:5]}", "role=manager", "membership=accepted")) == [node]
    assert nodes(context, ("role=worker",)) == nodes(context, ("node.label=a",)) == []
    with pytest.raises(FilterError):
        nodes(context, ("colour=red",))
