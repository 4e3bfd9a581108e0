"""Containers in the database: rows to values and back, and how a person's word finds one.

A name wins over an id prefix. Uniqueness of names is the database's own constraint, so it holds between commands that
run at once. Every change of state reads and writes inside one transaction.
"""

from __future__ import annotations

from sandbox.container.model.documents import from_json, to_json
from sandbox.container.model.names import random_name
from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.errors import ConflictError, NotFoundError, SandboxError
from sandbox.record_copies import keep_container_copy, unreadable_error
from sandbox.state import IntegrityError
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from typing import Any

    from sandbox.container.model.events import Tell
    from sandbox.container.model.port_changes import PortsAdded, PortsRemoved
    from sandbox.values import EndpointRequest

_COLUMNS = "id, name, created_ns, config, state"
_HEX = frozenset("0123456789abcdef")
_NAME_ATTEMPTS = 8


def insert_container(connection: sqlite3.Connection, container: Container, request: str = "") -> Container:
    """Keep a new container, with its request as JSON; where `container.name` is empty a free name is made up.

    Raises ConflictError.
    """
    attempts = 1 if container.name else _NAME_ATTEMPTS
    for attempt in range(attempts):
        named = container if container.name else container._replace(name=random_name(attempt))
        try:
            connection.execute(
                "INSERT INTO container (id, name, image_id, created_ns, config, state, request)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    named.id,
                    named.name,
                    named.config.image_id,
                    named.created_ns,
                    to_json(named.config),
                    to_json(named.state),
                    request,
                ),
            )
        except IntegrityError:
            if attempt + 1 == attempts:
                raise name_conflict(connection, named.name) from None
        else:
            return named
    raise AssertionError("unreachable: the last attempt returns or raises")


def name_conflict(connection: sqlite3.Connection, name: str) -> ConflictError:
    """The error for a name that is taken, naming its holder as Docker words it."""
    row = connection.execute("SELECT id FROM container WHERE name = ?", (name,)).fetchone()
    holder = row[0] if row else "another container"
    return ConflictError(
        f'Conflict. The container name "/{name}" is already in use by container "{holder}". '
        "You have to remove (or rename) that container to be able to reuse that name.",
        mend=f"sandbox rm -f {name}",
    )


def all_containers(connection: sqlite3.Connection) -> list[Container]:
    """Every container, the newest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM container ORDER BY created_ns DESC, rowid DESC")
    return [_from_row(row) for row in rows]


def labelled_containers(connection: sqlite3.Connection, key: str, value: str | None = None) -> list[Container]:
    """The containers with this label, of any value or of this one, the newest first."""
    held = "SELECT 1 FROM json_each(config, '$.labels') AS label WHERE json_extract(label.value, '$[0]') = ?1"
    if value is not None:
        held += " AND json_extract(label.value, '$[1]') = ?2"
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM container WHERE EXISTS ({held}) ORDER BY created_ns DESC, rowid DESC",
        (key,) if value is None else (key, value),
    )
    return [_from_row(row) for row in rows]


def find_container(connection: sqlite3.Connection, text: str) -> Container:
    """The container that `text` names: by name, by id, or by a prefix of ids that only one has.

    Raises NotFoundError; SandboxError where the prefix fits several.
    """
    word = text.removeprefix("/")
    row = connection.execute(f"SELECT {_COLUMNS} FROM container WHERE name = ?", (word,)).fetchone()
    if row is None and word and _HEX.issuperset(word):
        # an id's characters sort below "g", so this range is exactly the ids with the prefix, off the index
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM container WHERE id >= ? AND id < ? LIMIT 2", (word, word + "g")
        ).fetchall()
        if len(rows) > 1:
            raise SandboxError(
                f"Multiple IDs found with provided prefix: {word}", mend="sandbox ps -a --no-trunc; give more digits"
            )
        row = rows[0] if rows else None
    if row is None:
        if "/" in word:
            linked = _find_linked(connection, word)
            if linked is not None:
                return linked
        raise _no_such_container(connection, text)
    return _from_row(row)


def _find_linked(connection: sqlite3.Connection, word: str) -> Container | None:
    """The container that "web/database" names: what web calls database; None where it calls nothing so."""
    from sandbox.container.model.links import links_of

    parent, _, alias = word.partition("/")
    try:
        links = links_of(find_container(connection, parent).config)
        wanted = next((link.container for link in links if link.alias == alias), None)
        return find_container(connection, wanted) if wanted is not None else None
    except NotFoundError:
        return None


def _no_such_container(connection: sqlite3.Connection, text: str) -> NotFoundError:
    from sandbox.near_names import nearest  # only an error pays for it

    names = [str(name) for (name,) in connection.execute("SELECT name FROM container ORDER BY name")]
    near = nearest(text.removeprefix("/"), names)
    return NotFoundError(f"No such container: {text}", mend="sandbox ps -a", word=text, near=near)


def load_container(connection: sqlite3.Connection, container_id: str) -> Container | None:
    """The container with this whole id, or None."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM container WHERE id = ?", (container_id,)).fetchone()
    return _from_row(row) if row else None


def update_state(
    connection: sqlite3.Connection,
    container_id: str,
    *changes: Callable[[ContainerState], ContainerState] | Tell | PortsAdded | PortsRemoved,
) -> ContainerState | None:
    """Write what `changes`, one after the other, make of the present state, and the events that they are, in one
    transaction; None where the container is gone.

    An error that a change raises undoes the transaction and passes through.
    """
    from sandbox.container.model.events import Tell, emit_of, told_by

    with transaction(connection):
        row = connection.execute("SELECT state FROM container WHERE id = ?", (container_id,)).fetchone()
        if row is None:
            return None
        before = state = from_json(ContainerState, row[0])
        tells: list[Tell] = []
        for change in changes:
            if isinstance(change, Tell):
                tells.append(change)
            elif not callable(change):
                state = change.to_state(state)
                _write_ports(connection, container_id, change)
            else:
                former, state = state, change(state)
                tells += told_by(former, state)
        if state is not before:
            connection.execute("UPDATE container SET state = ? WHERE id = ?", (to_json(state), container_id))
        if tells:
            emit_of(connection, container_id, *tells)
        if (before.monitor_pid and not state.monitor_pid) or state.status == "removing":
            _free_endpoints(connection, container_id)
        # each costs a rename: the rest of the state can be lost, and what is being removed needs none
        if (state.status, state.monitor_pid) != (before.status, before.monitor_pid) and state.status != "removing":
            keep_container_copy(connection, container_id)
    return state


def _free_endpoints(connection: sqlite3.Connection, container_id: str) -> None:
    """What the container had on networks while it ran, within a transaction."""
    if connection.execute("SELECT 1 FROM endpoint WHERE container_id = ?", (container_id,)).fetchone():
        from sandbox.container.model.endpoint_rows import free_endpoints

        free_endpoints(connection, container_id)


def write_ports(connection: sqlite3.Connection, container_id: str, change: PortsAdded | PortsRemoved) -> bool:
    """Write what the next start of a container that does not run is to publish; whether it is there, and nobody's."""
    with transaction(connection):
        row = connection.execute("SELECT state FROM container WHERE id = ?", (container_id,)).fetchone()
        is_free = row is not None and not from_json(ContainerState, row[0]).monitor_pid
        if is_free:
            _write_ports(connection, container_id, change)
    return is_free


def _write_ports(connection: sqlite3.Connection, container_id: str, change: PortsAdded | PortsRemoved) -> None:
    """What the next start is to publish, within a transaction."""
    from sandbox.container.model.port_changes import changed_request

    row = connection.execute("SELECT config, request FROM container WHERE id = ?", (container_id,)).fetchone()
    config = change.to_config(from_json(ContainerConfig, row[0]))
    values = (to_json(config), changed_request(row[1] or "", config), container_id)
    connection.execute("UPDATE container SET config = ?, request = ? WHERE id = ?", values)
    keep_container_copy(connection, container_id)


def write_networks(
    connection: sqlite3.Connection, container_id: str, network: str, endpoints: tuple[EndpointRequest, ...]
) -> None:
    """Write where the container is to be on networks from now on, within a transaction."""
    row = connection.execute("SELECT config FROM container WHERE id = ?", (container_id,)).fetchone()
    config = from_json(ContainerConfig, row[0])._replace(network=network, endpoints=endpoints)
    connection.execute("UPDATE container SET config = ? WHERE id = ?", (to_json(config), container_id))
    keep_container_copy(connection, container_id)


def change_record(
    connection: sqlite3.Connection,
    container_id: str,
    change: Callable[[Container, str], tuple[Container, str]],
    *tells: Tell,
) -> Container | None:
    """Write what `change` makes of the present record and the request as it is kept, and what is told of it, in one
    transaction; None where the container is gone, or being removed.

    An error that the change raises undoes the transaction and passes through.
    """
    from sandbox.container.model.events import emit_of

    with transaction(connection):
        query = f"SELECT {_COLUMNS}, request FROM container WHERE id = ?"
        row = connection.execute(query, (container_id,)).fetchone()
        if row is None:
            return None
        *columns, kept = row
        present = _from_row(tuple(columns))
        if present.state.status == "removing":
            return None
        changed, request = change(present, kept or "")
        values = (to_json(changed.config), to_json(changed.state), request, container_id)
        connection.execute("UPDATE container SET config = ?, state = ?, request = ? WHERE id = ?", values)
        emit_of(connection, container_id, *tells)
        keep_container_copy(connection, container_id)
    return changed


def rename_container(
    connection: sqlite3.Connection,
    container_id: str,
    name: str,
    renamed: Callable[[str], None] = lambda _former: None,
) -> None:
    """Give the container another name, and call `renamed` with its former one in the same transaction. Raises
    ConflictError where it is taken, NotFoundError where it is gone.
    """
    from sandbox.container.model.events import Tell, emit_of

    try:
        with transaction(connection):
            before = connection.execute("SELECT name FROM container WHERE id = ?", (container_id,)).fetchone()
            # what is being removed gets no copy any more
            changed = connection.execute(
                "UPDATE container SET name = ? WHERE id = ? AND json_extract(state, '$.status') IS NOT 'removing'",
                (name, container_id),
            )
            if changed.rowcount:
                keep_container_copy(connection, container_id)
                # with the slash, as Docker has it there and nowhere else
                emit_of(connection, container_id, Tell("rename", {"oldName": f"/{before[0]}"}))
                renamed(before[0])
    except IntegrityError:
        raise name_conflict(connection, name) from None
    if not changed.rowcount:
        raise NotFoundError(f"No such container: {container_id}", cause="it was removed meanwhile")


def delete_container(connection: sqlite3.Connection, container_id: str) -> None:
    """Forget the container, within a transaction; nothing happens where it is gone already."""
    from sandbox.container.model.events import Tell, emit_of

    _free_endpoints(connection, container_id)
    emit_of(connection, container_id, Tell("destroy"))
    connection.execute("DELETE FROM container WHERE id = ?", (container_id,))


def _from_row(row: tuple[Any, ...]) -> Container:  # Any: a database row
    container_id, name, created_ns, config, state = row
    try:
        return Container(
            container_id, name, created_ns, from_json(ContainerConfig, config), from_json(ContainerState, state)
        )
    except (ValueError, TypeError, AttributeError) as error:
        raise unreadable_error("container", name, error) from error
