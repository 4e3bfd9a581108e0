"""A copy of each record beside the files it speaks of: what the store says of itself where the database is lost.

    containers/<id>/record.json     the container's row
    images/<hex of the id>          the image's row and names, its manifest and its config (`image/copies.py`)
    volumes/<name>/record.json      the volume's row
    networks/<id>                   the row of a network that somebody made
    secrets/<id>/record.json        the secret's row; so for configs

A copy is there only while its row is: it is written after the row was committed, and goes before the row does. So a
copy without a row tells that the database was lost, emptied or replaced by an older one. That is an error of every
command, until `system check --repair` has adopted what the database lacks. A row without a copy is what a SIGKILL in
between leaves; the next change of the object, or a repair, writes the copy.

Copies are not synced: a power failure that loses one does not lose the row.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from sandbox.errors import HostError
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from typing import Any

#: the table of the records, the column of the key, and the directory of the copies
PLACES = (
    ("container", "id", "containers"),
    ("image", "id", "images"),
    ("volume", "name", "volumes"),
    ("network", "id", "networks"),
    ("secret", "id", "secrets"),
    ("config", "id", "configs"),
)
RECORD = "record.json"
LOST_CAUSE = "it was removed, emptied, or restored from an older copy"
REPAIR = "sandbox system check --repair"


def unreadable_error(noun: str, name: object, error: Exception) -> HostError:
    """For a row that is not what was written there."""
    return HostError(f"the record of {noun} {name} in the database is damaged", cause=str(error), mend=REPAIR)


class LostRecordsError(HostError):
    """The store holds what the database does not know."""


def data_root_of(connection: sqlite3.Connection) -> str:
    """The directory of the store whose database this is."""
    return os.path.dirname(str(connection.execute("PRAGMA database_list").fetchone()[2]))


def copy_path(data_root: str, table: str, name: str) -> str:
    """Where the copy of the record lies, or would lie."""
    if table == "image":
        return f"{data_root}/images/{name.removeprefix('sha256:')}"
    if table == "network":
        return f"{data_root}/networks/{name}"
    return f"{data_root}/{table}s/{name}/{RECORD}"


def write_copy(path: str, text: str) -> None:
    """Put a copy there in one step. What keeps it from being written (a full disk, no such directory) is no failure."""
    directory, name = os.path.split(path)
    aside = f"{directory}/.{name}.new"
    with suppress(OSError):
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            data = memoryview(text.encode())
            while data:
                data = data[os.write(fd, data) :]
        finally:
            os.close(fd)
        os.rename(aside, path)


def remove_copy(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def read_copy(path: str) -> dict[str, Any] | None:
    """The copy's first line, which is a JSON object; None where there is none that can be read."""
    try:
        with open(path, "rb") as file:
            document = json.loads(file.readline())
    except (OSError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def keep_container_copy(connection: sqlite3.Connection, container_id: str) -> None:
    """Write the container's copy as its row is now; the caller holds a transaction, or is alone with it."""
    columns = "id, name, created_ns, config, state, request"
    found = connection.execute(f"SELECT {columns} FROM container WHERE id = ?", (container_id,)).fetchone()
    if found is not None:
        known_id, name, created_ns, config, state, request = found
        head = json.dumps({"id": known_id, "name": name, "created_ns": created_ns})
        # each is JSON on one line already
        text = f'{head[:-1]}, "config": {config}, "state": {state}, "request": {request or "null"}}}\n'
        write_copy(copy_path(data_root_of(connection), "container", known_id), text)


def keep_volume_copy(connection: sqlite3.Connection, name: str) -> None:
    """Write the volume's copy as its row is now."""
    query = "SELECT name, created_ns, labels, anonymous, options FROM volume WHERE name = ?"
    row = connection.execute(query, (name,))
    found = row.fetchone()
    if found is not None:
        document = dict(zip(("name", "created_ns", "labels", "anonymous", "options"), found, strict=True))
        write_copy(copy_path(data_root_of(connection), "volume", name), json.dumps(document) + "\n")


NETWORK_COLUMNS = (
    "id", "name", "driver", "created_ns", "subnet4", "gateway4", "range4", "subnet6", "gateway6", "range6", "chosen4",
    "chosen6", "internal", "attachable", "options", "labels", "auxiliary", "egress", "ipam_options",
)  # fmt: skip


def keep_network_copy(connection: sqlite3.Connection, network_id: str) -> None:
    """Write the network's copy as its row is now; what is always there has none."""
    query = f"SELECT {', '.join(NETWORK_COLUMNS)} FROM network WHERE id = ? AND name NOT IN ('bridge', 'host', 'none')"
    found = connection.execute(query, (network_id,)).fetchone()
    if found is not None:
        path = copy_path(data_root_of(connection), "network", network_id)
        with suppress(OSError):
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        write_copy(path, json.dumps(dict(zip(NETWORK_COLUMNS, found, strict=True))) + "\n")


OBJECT_COLUMNS = ("id", "name", "created_ns", "updated_ns", "version", "labels", "digest", "size_bytes", "template")


def keep_object_copy(connection: sqlite3.Connection, table: str, object_id: str) -> None:
    """Write the copy of a secret or a config as its row is now; the content lies beside it."""
    query = f"SELECT {', '.join(OBJECT_COLUMNS)} FROM {table} WHERE id = ?"
    found = connection.execute(query, (object_id,)).fetchone()
    if found is not None:
        document = json.dumps(dict(zip(OBJECT_COLUMNS, found, strict=True)))
        write_copy(copy_path(data_root_of(connection), table, object_id), document + "\n")


def find_unrecorded(connection: sqlite3.Connection, data_root: str) -> dict[str, list[str]]:
    """The names of what has a copy and no row, by table; empty as a rule.

    The directory is read first: what is made meanwhile is not in it, and what goes meanwhile has no copy any more.
    """
    found: dict[str, list[str]] = {}
    for table, column, place in PLACES:
        try:
            listed = os.listdir(f"{data_root}/{place}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        prefix = "sha256:" if table == "image" else ""
        names = {prefix + name for name in listed if not name.startswith(".")}
        if names:
            names.difference_update([row[0] for row in connection.execute(f"SELECT {column} FROM {table}")])
        lost = [name for name in sorted(names) if has_copy(data_root, table, name)]
        if lost:
            found[table] = lost
    return found


def has_copy(data_root: str, table: str, name: str) -> bool:
    """Whether there is a copy, and it is of this object."""
    document = read_copy(copy_path(data_root, table, name))
    return document is not None and document.get("name" if table == "volume" else "id") == name


def refuse_lost_records(connection: sqlite3.Connection, data_root: str, database: str) -> None:
    """Raise LostRecordsError where the store holds what the database does not know."""
    lost = find_unrecorded(connection, data_root)
    if lost:
        # seen piece by piece: under a name that went meanwhile there may be another thing now
        with transaction(connection):
            lost = find_unrecorded(connection, data_root)
    if lost:
        raise LostRecordsError(
            f"the database {database} does not know {counted((table, len(names)) for table, names in lost.items())}"
            " of the store beside it",
            cause=LOST_CAUSE,
            mend=REPAIR,
        )


def refuse_full_store(data_root: str, database: str, what: str) -> None:
    """Raise LostRecordsError where the store is in use, for a database that is `what`: none is made beside it."""
    held = describe_store(data_root)
    if held:
        raise LostRecordsError(
            f"the database {database} is {what}, and the store beside it holds {held}", cause=LOST_CAUSE, mend=REPAIR
        )


def describe_store(data_root: str) -> str:
    """What there is that only a database could have named, in words; "" for a store that nobody has used."""
    places = (
        ("container", "containers"), ("image", "images"), ("volume", "volumes"), ("network", "networks"),
        ("secret", "secrets"), ("config", "configs"), ("layer", "layers"), ("blob", "blobs/sha256"),
    )  # fmt: skip
    return counted((noun, _count(f"{data_root}/{place}")) for noun, place in places)


def counted(numbers: Iterable[tuple[str, int]]) -> str:
    """ "2 containers and 1 image"; nothing for zeros."""
    said = [f"{number} {noun}{'' if number == 1 else 's'}" for noun, number in numbers if number]
    return " and ".join(filter(None, (", ".join(said[:-1]), *said[-1:])))


def _count(directory: str) -> int:
    try:
        return sum(not name.startswith(".") for name in os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return 0
