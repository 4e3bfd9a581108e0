"""Looking at services and their tasks, for whoever asks: values, as they are at this moment; nothing is changed.

A `word` is a service's name, its id or a prefix of that.
"""

from __future__ import annotations

import time
from contextlib import closing

from sandbox.event_stream import watch_changes
from sandbox.grammar.filters import FilterError, Filters, parse_filters
from sandbox.named_tuple import NamedTuple
from sandbox.reconciler_calls import ensure_due
from sandbox.service.container_request import Node, container_name
from sandbox.service.jobs import desired_state, is_of_iteration
from sandbox.service.published import ports_in_force, published_ports
from sandbox.service.spec import template_of
from sandbox.service.store import (
    all_services,
    find_service,
    find_task,
    load_service,
    spec_of_task,
    tasks_of,
)
from sandbox.service.task import STATES
from sandbox.state import open_state
from sandbox.swarm_of_one import node_id, node_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from sandbox.container.view.log_entries import LogEntry
    from sandbox.container.view.logs import LogSelection
    from sandbox.operation_context import OperationContext
    from sandbox.service.record import Service
    from sandbox.service.spec import ServicePort, ServiceSpec
    from sandbox.service.task import Task

_SERVICE_FILTERS = ("id", "label", "mode", "name")
_TASK_FILTERS = ("desired-state", "id", "label", "name", "node", "runtime", "service", "up-to-date")


class ServiceCount(NamedTuple):
    """A service, and how many of its tasks are as they are to be."""

    service: Service
    running: int
    desired: int
    #: of a job
    completed: int
    #: as they are published, with the numbers that were chosen
    ports: tuple[ServicePort, ...] = ()


class TaskRow(NamedTuple):
    """A task with the service it is of, and what was wanted when it was made, where that is known."""

    task: Task
    service: Service
    spec: ServiceSpec | None


def list_all(context: OperationContext, filters: Sequence[str] = ()) -> list[ServiceCount]:
    """The services that pass every filter, by name. Raises UsageError, FilterError."""
    wanted = parse_filters(filters, _SERVICE_FILTERS)
    with open_state(context.paths, durable=False) as connection:
        ensure_due(connection, context.paths, context.env)
        return [
            _counted(connection, service)
            for service in all_services(connection)
            if wanted.match("id", service.id.startswith)
            and wanted.match("name", service.name.startswith)
            and wanted.match_exact("mode", service.spec.mode.kind)
            and wanted.match_labels(dict(service.spec.labels))
        ]


def _counted(connection: sqlite3.Connection, service: Service) -> ServiceCount:
    mode = service.spec.mode
    tasks = tasks_of(connection, service.id)
    if mode.is_job:
        tasks = [task for task in tasks if is_of_iteration(task, service)]
    running = sum(task.state == "running" and task.desired == "running" for task in tasks)
    completed = sum(task.state == "complete" and task.desired != "remove" for task in tasks)
    desired = mode.slots
    if mode.is_job:
        # as Docker counts: of a replicated job those that run at once, of a global one those that have yet to complete
        desired = max(0, mode.slots - completed) if mode.is_global else mode.max_concurrent or mode.slots
    ports = ports_in_force(service.spec, published_ports(connection, service.id)) if service.spec.ports else ()
    return ServiceCount(service, running, desired, completed, ports)


def inspect(context: OperationContext, word: str) -> Service:
    """The service as it is. Raises NotFoundError."""
    with open_state(context.paths, durable=False) as connection:
        ensure_due(connection, context.paths, context.env)
        return find_service(connection, word)


def inspect_task(context: OperationContext, word: str) -> TaskRow:
    """The task that the word names: by id, a prefix of it, or name. Raises NotFoundError."""
    with open_state(context.paths, durable=False) as connection:
        ensure_due(connection, context.paths, context.env)
        task = find_task(connection, word)
        service = load_service(connection, task.service_id)
        assert service is not None, "a task's row goes with its service's"
        return TaskRow(task, service, spec_of_task(connection, task))


def tasks(context: OperationContext, words: Sequence[str] = (), filters: Sequence[str] = ()) -> list[TaskRow]:
    """The tasks of the services named, or of all, that pass every filter: by service and slot, in a slot the newest
    first. Raises NotFoundError, UsageError, FilterError.
    """
    wanted = parse_filters(filters, _TASK_FILTERS)
    for state in wanted.values.get("desired-state", ()):
        if state.lower() not in STATES:
            raise FilterError(
                f"Invalid desired-state filter: '{state}'", mend="--filter desired-state=running, accepted or shutdown"
            )
    with open_state(context.paths, durable=False) as connection:
        ensure_due(connection, context.paths, context.env)
        services = [find_service(connection, word) for word in words] if words else all_services(connection)
        rows = [
            TaskRow(task, service, spec_of_task(connection, task))
            for service in services
            if wanted.match_exact("service", service.id, service.name)
            for task in sorted(tasks_of(connection, service.id), key=lambda task: (task.slot, -task.created_ns))
        ]
        node = this_node(connection)
    return [row for row in rows if _passes(row, wanted, node)]


def _passes(row: TaskRow, wanted: Filters, node: Node) -> bool:
    task, name = row.task, container_name(row.service, row.task, node)
    desired = desired_state(task, row.spec or row.service.spec)
    shown = (desired, "accepted") if desired == "ready" else ("shutdown" if desired == "remove" else desired,)
    current = wanted.flag("up-to-date")
    return (
        wanted.match("desired-state", lambda state: state.lower() in shown)
        and wanted.match("id", task.id.startswith)
        and wanted.match("name", name.startswith)
        and wanted.match_exact("runtime", "container")
        and wanted.match_exact("node", node.id, node.hostname, "self")
        and wanted.match_labels(dict(row.spec.labels) if row.spec else {})
        and current in (None, task.template == template_of(row.service.spec))
    )


def this_node(connection: sqlite3.Connection) -> Node:
    """This machine as a node."""
    import os

    return Node(node_id(connection), os.uname().nodename, node_spec(connection).labels)


def node_of(context: OperationContext) -> Node:
    """This machine as a node: its id, made up at the first look, and its name."""
    with open_state(context.paths) as connection:
        return this_node(connection)


def follow(
    context: OperationContext, service_id: str, longest_seconds: float | None = None
) -> Iterator[tuple[Service, list[Task]] | None]:
    """The service and its tasks now, and each time that something of them has changed; after `longest_seconds` without
    a change the same again. None, and the end, where the service is gone.
    """
    before: tuple[Service, list[Task]] | None = None
    looked = time.monotonic()
    with closing(watch_changes(context.paths, longest_seconds)) as changes:
        for connection in changes:
            service = load_service(connection, service_id)
            if service is None or service.removing:
                yield None
                return
            found = service, tasks_of(connection, service_id)
            waited = time.monotonic() - looked
            if found != before or (longest_seconds is not None and waited >= longest_seconds):
                before, looked = found, time.monotonic()
                yield found


def logs(context: OperationContext, word: str, selection: LogSelection) -> Iterator[tuple[TaskRow, LogEntry]]:
    """What the containers of a service's tasks, or of one task, have logged, the tasks' one after the other.

    Raises NotFoundError.
    """
    from sandbox.container.operations import logs as container_logs
    from sandbox.errors import NotFoundError

    try:
        rows = tasks(context, (word,))
    except NotFoundError as error:
        try:
            rows = [inspect_task(context, word)]
        except NotFoundError:
            raise error from None
    for row in sorted(rows, key=lambda row: (row.task.slot, row.task.created_ns)):
        if row.task.container_id:
            try:
                for entry in container_logs(context, row.task.container_id, selection):
                    yield row, entry
            except NotFoundError:
                continue  # removed by hand
