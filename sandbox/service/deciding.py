"""One decision, written down: rows and containers as they are, what `planning` makes of them, in one transaction."""

from __future__ import annotations

import time

from sandbox.container.life.reconcile import is_stale, reconcile
from sandbox.container.model.documents import from_json
from sandbox.container.model.record import ContainerState
from sandbox.container.model.store import load_container
from sandbox.events import emit
from sandbox.service.board import Facts
from sandbox.service.events import status_event
from sandbox.service.jobs import is_of_iteration
from sandbox.service.planning import plan
from sandbox.service.ports import has_listener
from sandbox.service.seeing import seen
from sandbox.service.store import (
    DUE_NOW,
    all_services,
    delete_service,
    insert_task,
    load_service,
    new_id,
    prune_specs,
    tasks_of,
    update_service,
    update_task,
)
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.paths import Paths
    from sandbox.service.planning import Decision
    from sandbox.service.record import Service
    from sandbox.service.task import Task


def decide(connection: sqlite3.Connection, paths: Paths, service_id: str) -> Decision | None:
    """Decide on the service, as it is at this moment; None where it is gone, or has just gone for good."""
    _mend(connection, paths, tasks_of(connection, service_id))
    with transaction(connection):
        service = load_service(connection, service_id)
        if service is None:
            return None
        now_ns = time.time_ns()
        before = {task.id: task for task in tasks_of(connection, service_id)}
        states = _states(connection, service_id)
        tasks = [seen(task, states.get(task.container_id), now_ns) for task in before.values()]
        decision = plan(service, tasks, Facts(now_ns, new_id, _is_held(connection, service, tasks)))
        if decision.is_over and not has_listener(service):
            delete_service(connection, service_id)
            return None
        _write(connection, service, before, decision)
    return decision


def _write(connection: sqlite3.Connection, service: Service, before: dict[str, Task], decision: Decision) -> None:
    for task in decision.tasks:
        if task.id not in before:
            insert_task(connection, task)
        elif task != before[task.id]:
            update_task(connection, task)
    due_ns = 0 if decision.is_settled else decision.wake_ns or DUE_NOW
    (was_due_ns,) = connection.execute("SELECT due_ns FROM service WHERE id = ?", (service.id,)).fetchone()
    if decision.service == service and due_ns == was_due_ns:
        return
    update_service(connection, decision.service, due_ns)
    prune_specs(connection, decision.service, decision.tasks)
    if decision.service.status != service.status and (event := status_event(service, decision.service)):
        emit(connection, event)


def _states(connection: sqlite3.Connection, service_id: str) -> dict[str, ContainerState]:
    rows = connection.execute(
        "SELECT container.id, container.state FROM task JOIN container ON container.id = task.container_id"
        " WHERE task.service_id = ?",
        (service_id,),
    ).fetchall()
    return {str(container_id): from_json(ContainerState, state) for container_id, state in rows}


def _mend(connection: sqlite3.Connection, paths: Paths, tasks: list[Task]) -> None:
    """Records of containers whose monitor was killed say so first; outside any transaction, for it takes its time."""
    for task in tasks:
        if task.container_id and not task.is_over:
            container = load_container(connection, task.container_id)
            if container is not None and is_stale(container.state):
                reconcile(connection, paths, container)


def _is_held(connection: sqlite3.Connection, service: Service, tasks: list[Task]) -> bool:
    """Whether it has not been up yet, and what it is to come after is not up."""
    if not service.spec.after or any(task.running_ns for task in tasks):
        return False
    others = {other.name: other for other in all_services(connection)}
    return any(
        not _is_up(others[name], tasks_of(connection, others[name].id)) for name in service.spec.after if name in others
    )


def _is_up(service: Service, tasks: list[Task]) -> bool:
    mode = service.spec.mode
    if mode.is_job:
        done = sum(task.state == "complete" and is_of_iteration(task, service) for task in tasks)
    else:
        done = sum(task.state == "running" for task in tasks)
    return done >= mode.slots
