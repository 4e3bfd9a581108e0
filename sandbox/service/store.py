"""Services and tasks in the database: rows to values and back, and how a person's word finds one.

Whoever changes a service does so in one transaction, which begins with reading it: two changes cannot cross.
"""

from __future__ import annotations

import json

from sandbox.container.model.documents import from_plain, to_plain
from sandbox.errors import ConflictError, NotFoundError, SandboxError
from sandbox.random_ids import new_object_id
from sandbox.record_copies import unreadable_error
from sandbox.service.record import Service, UpdateRun, UpdateStatus
from sandbox.service.spec import spec_from_json, spec_to_json
from sandbox.service.task import Task
from sandbox.state import IntegrityError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from typing import Any

    from sandbox.service.spec import ServiceSpec

#: of a service, a task, a node
new_id = new_object_id
#: there is something to decide now
DUE_NOW = 1


def insert_service(connection: sqlite3.Connection, service: Service) -> None:
    """Record a new service, which is due; one that was announced, as removed, is as it is now. Raises ConflictError
    where its name is taken.
    """
    try:
        connection.execute(
            "INSERT INTO service (id, name, stack, version, removing, due_ns, record) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET removing = excluded.removing, due_ns = excluded.due_ns, "
            "record = excluded.record",
            (
                service.id, service.name, service.stack, service.version, int(service.removing), DUE_NOW,
                _service_text(service),
            ),
        )  # fmt: skip
    except IntegrityError:
        raise _taken(service.name) from None
    _keep_spec(connection, service)


def refuse_taken_name(connection: sqlite3.Connection, name: str) -> None:
    """Raise ConflictError where a service has the name."""
    if connection.execute("SELECT 1 FROM service WHERE name = ? AND removing = 0", (name,)).fetchone() is not None:
        raise _taken(name)


def _taken(name: str) -> ConflictError:
    return ConflictError(
        f"name conflicts with an existing object: service {name} already exists", mend=f"sandbox service update {name}"
    )


def update_service(connection: sqlite3.Connection, service: Service, due_ns: int = DUE_NOW) -> None:
    """Write the service as it is now, and when there is something to decide next (0: nothing is)."""
    connection.execute(
        "UPDATE service SET name = ?, stack = ?, version = ?, removing = ?, due_ns = ?, record = ? WHERE id = ?",
        (
            service.name, service.stack, service.version, int(service.removing), due_ns, _service_text(service),
            service.id,
        ),
    )  # fmt: skip
    _keep_spec(connection, service)


def delete_service(connection: sqlite3.Connection, service_id: str) -> None:
    """Take the service's row away, and with it those of its tasks."""
    connection.execute("DELETE FROM service WHERE id = ?", (service_id,))


def _keep_spec(connection: sqlite3.Connection, service: Service) -> None:
    connection.execute(
        "INSERT OR IGNORE INTO service_spec (service_id, version, spec) VALUES (?, ?, ?)",
        (service.id, service.spec_version, spec_to_json(service.spec)),
    )


def all_services(connection: sqlite3.Connection, *, removing: bool = False) -> list[Service]:
    """Every service, by name; with `removing` also those that are gone but for their tasks."""
    rows = connection.execute(
        "SELECT name, record FROM service WHERE removing <= ? ORDER BY name, id", (int(removing),)
    ).fetchall()
    return [_service_of(*row) for row in rows]


def load_service(connection: sqlite3.Connection, service_id: str) -> Service | None:
    """The service with this whole id, also one that is being removed; or None."""
    row = connection.execute("SELECT name, record FROM service WHERE id = ?", (service_id,)).fetchone()
    return _service_of(*row) if row else None


def find_service(connection: sqlite3.Connection, word: str) -> Service:
    """The service that `word` names: by id, by name, or by a prefix of ids that only one has.

    Raises NotFoundError; SandboxError where the prefix fits several.
    """
    query = "SELECT name, record FROM service WHERE (id = ?1 OR name = ?1) AND removing = 0 ORDER BY id = ?1 DESC"
    row = connection.execute(query, (word,)).fetchone()
    if row is None and word:
        rows = _by_prefix(connection, "service", "name, record", word, "AND removing = 0")
        if len(rows) > 1:
            raise SandboxError(
                f"service {word} is ambiguous ({len(rows)} matches found)", mend="sandbox service ls; give more digits"
            )
        row = rows[0] if rows else None
    if row is None:
        from sandbox.near_names import nearest  # only an error pays for it

        names = [str(name) for (name,) in connection.execute("SELECT name FROM service WHERE removing = 0")]
        near = nearest(word, sorted(names))
        raise NotFoundError(f"service {word} not found", mend="sandbox service ls", word=word, near=near)
    return _service_of(*row)


def _by_prefix(connection: sqlite3.Connection, table: str, columns: str, word: str, more: str = "") -> list[Any]:
    # behind "z" there is no digit of an id
    query = f"SELECT {columns} FROM {table} WHERE id >= ? AND id < ? {more} LIMIT 2"
    return connection.execute(query, (word, word + "{")).fetchall()


def insert_task(connection: sqlite3.Connection, task: Task) -> None:
    """Record a new task."""
    connection.execute(
        "INSERT INTO task (id, service_id, container_id, record) VALUES (?, ?, ?, ?)",
        (task.id, task.service_id, task.container_id, json.dumps(to_plain(task), separators=(",", ":"))),
    )


def update_task(connection: sqlite3.Connection, task: Task) -> None:
    """Write the task as it is now; nothing happens where its row is gone."""
    connection.execute(
        "UPDATE task SET container_id = ?, record = ? WHERE id = ?",
        (task.container_id, json.dumps(to_plain(task), separators=(",", ":")), task.id),
    )


def delete_task(connection: sqlite3.Connection, task: Task) -> None:
    """Take the task's row away."""
    connection.execute("DELETE FROM task WHERE id = ?", (task.id,))


def prune_specs(connection: sqlite3.Connection, service: Service, tasks: Iterable[Task]) -> None:
    """Forget the specs of versions that neither the service nor any of its tasks has."""
    used = {service.spec_version, *(task.spec_version for task in tasks)}
    marks = ", ".join("?" * len(used))
    connection.execute(
        f"DELETE FROM service_spec WHERE service_id = ? AND version NOT IN ({marks})", (service.id, *used)
    )


def tasks_of(connection: sqlite3.Connection, service_id: str) -> list[Task]:
    """All tasks of the service, by slot, in a slot the oldest first."""
    rows = connection.execute("SELECT id, record FROM task WHERE service_id = ?", (service_id,)).fetchall()
    return sorted((_task_of(*row) for row in rows), key=_order)


def load_task(connection: sqlite3.Connection, task_id: str) -> Task | None:
    """The task with this whole id, or None."""
    row = connection.execute("SELECT id, record FROM task WHERE id = ?", (task_id,)).fetchone()
    return _task_of(*row) if row else None


def find_task(connection: sqlite3.Connection, word: str) -> Task:
    """The task that `word` names: by id, by name, or by a prefix of ids that only one has.

    Raises NotFoundError; SandboxError where the prefix fits several.
    """
    # a name ends in the id
    task = load_task(connection, word.rpartition(".")[2])
    if task is not None:
        return task
    rows = _by_prefix(connection, "task", "id, record", word) if word else []
    if len(rows) > 1:
        raise SandboxError(
            f"task {word} is ambiguous ({len(rows)} matches found)", mend="sandbox service ps; give more digits"
        )
    if not rows:
        raise NotFoundError(f"task {word} not found", mend="sandbox service ps SERVICE", word=word)
    return _task_of(*rows[0])


def spec_of_task(connection: sqlite3.Connection, task: Task) -> ServiceSpec | None:
    """What was wanted of its service when the task was made; None where nobody knows any more. Raises HostError."""
    row = connection.execute(
        "SELECT spec FROM service_spec WHERE service_id = ? AND version = ?", (task.service_id, task.spec_version)
    ).fetchone()
    if row is None:
        return None
    try:
        return spec_from_json(row[0])
    except (ValueError, TypeError, AttributeError) as error:
        raise unreadable_error("task", task.id, error) from error


def due_services(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """The ids of services of which there is something to decide, and from when on, ns since 1970."""
    rows = connection.execute("SELECT id, due_ns FROM service WHERE due_ns > 0 ORDER BY due_ns").fetchall()
    return [(str(service_id), int(due_ns)) for service_id, due_ns in rows]


def _order(task: Task) -> tuple[int, int, str]:
    return task.slot, task.created_ns, task.id


def _service_text(service: Service) -> str:
    plain = to_plain(service._replace(spec=None, previous_spec=None))  # type: ignore[arg-type]  # kept as texts
    plain["spec"] = spec_to_json(service.spec)
    if service.previous_spec is not None:
        plain["previous_spec"] = spec_to_json(service.previous_spec)
    return json.dumps(plain, separators=(",", ":"))


def _service_of(name: str, text: str) -> Service:
    try:
        plain = json.loads(text)
        texts = {field: plain.pop(field, None) for field in ("spec", "previous_spec")}
        kept = {field: plain.pop(field, None) for field in ("status", "run")}
        return from_plain(Service, {**plain, "spec": None})._replace(
            spec=spec_from_json(texts["spec"] or ""),
            previous_spec=spec_from_json(texts["previous_spec"]) if texts["previous_spec"] else None,
            status=from_plain(UpdateStatus, kept["status"]) if kept["status"] else None,
            run=from_plain(UpdateRun, kept["run"]) if kept["run"] else None,
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise unreadable_error("service", name, error) from error


def _task_of(task_id: str, text: str) -> Task:
    try:
        return from_plain(Task, json.loads(text))
    except (ValueError, TypeError, AttributeError) as error:
        raise unreadable_error("task", task_id, error) from error
