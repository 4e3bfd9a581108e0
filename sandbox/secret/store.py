"""Secrets and configs in the database, and their contents in files of this user alone.

    DATA/secrets/<id>/content       0600; so for configs
    DATA/secrets/<id>/record.json   a copy of the record

The directory is made aside and renamed within the transaction that writes the row, and goes aside within the one that
removes it. So whoever holds a transaction sees what a SIGKILL left between the two (`tidy`), and mends it.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress

from sandbox.errors import ConflictError, HostError, NotFoundError, SandboxError
from sandbox.events import Event, emit
from sandbox.random_ids import new_object_id
from sandbox.record_copies import RECORD, has_copy, keep_object_copy
from sandbox.secret.record import KINDS, StoredObject
from sandbox.transactions import transaction
from storage.private_directories import make_private_directory
from storage.private_files import write_private_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.paths import Paths
    from sandbox.secret.record import Kind

CONTENT = "content"
#: how directories begin that are being made, and that are being removed
_NEW, _GONE = ".new-", ".gone-"
_COLUMNS = "id, name, created_ns, updated_ns, version, labels, digest, size_bytes, template"


def list_objects(connection: sqlite3.Connection, kind: Kind) -> list[StoredObject]:
    """All of a kind, by name."""
    return [_object(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM {kind} ORDER BY name")]


def find_object(connection: sqlite3.Connection, kind: Kind, word: str) -> StoredObject:
    """The one of an id, a name, or an id's beginning, in this order. Raises NotFoundError, ConflictError."""
    for column in ("id", "name"):
        row = connection.execute(f"SELECT {_COLUMNS} FROM {kind} WHERE {column} = ?", (word,)).fetchone()
        if row is not None:
            return _object(*row)
    listed = list_objects(connection, kind)
    found = [each for each in listed if word and each.id.startswith(word)]
    if len(found) > 1:
        raise ConflictError(f"{kind} {word} is ambiguous ({len(found)} matches found)", mend=f"sandbox {kind} ls")
    if not found:
        from sandbox.near_names import nearest  # only an error pays for it

        near = nearest(word, [each.name for each in listed])
        raise NotFoundError(f"{kind} {word} not found", mend=f"sandbox {kind} ls", word=word, near=near)
    return found[0]


def create_object(
    connection: sqlite3.Connection,
    paths: Paths,
    kind: Kind,
    name: str,
    labels: dict[str, str],
    data: bytes,
    template: str = "",
) -> StoredObject:
    """Keep the content, perhaps a template, under a new id. Raises ConflictError where the name is taken, HostError."""
    now_ns = time.time_ns()
    object_id = new_object_id()
    made = StoredObject(object_id, name, now_ns, now_ns, 1, labels, digest_of(object_id, data), len(data), template)
    with transaction(connection):
        tidy(connection, paths, kind)
        if connection.execute(f"SELECT 1 FROM {kind} WHERE name = ?", (name,)).fetchone():
            raise ConflictError(f"{kind} {name} already exists", mend=f"sandbox {kind} rm {name}")
        root = objects_root(paths, kind)
        aside = f"{root}/{_NEW}{object_id}"
        try:
            make_private_directory(aside)
            write_private_file(f"{aside}/{CONTENT}", data)
            _sync(aside)
            os.rename(aside, f"{root}/{object_id}")
            _sync(root)
        except OSError as error:
            _remove_directory(aside)
            raise HostError(
                f"cannot keep {kind} {name}", cause=error.strerror or str(error), mend=f"df -h {paths.data_root}"
            ) from error
        values = (*made[:5], json.dumps(labels), *made[6:])
        connection.execute(f"INSERT INTO {kind} ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        emit(connection, _event(kind, "create", made))
    keep_object_copy(connection, kind, object_id)
    return made


def update_labels(connection: sqlite3.Connection, kind: Kind, word: str, labels: dict[str, str]) -> StoredObject:
    """Give the object other labels; Swarm lets nothing else change. Raises NotFoundError."""
    with transaction(connection):
        found = find_object(connection, kind, word)
        changed = found._replace(labels=labels, updated_ns=time.time_ns(), version=found.version + 1)
        connection.execute(
            f"UPDATE {kind} SET labels = ?, updated_ns = ?, version = ? WHERE id = ?",
            (json.dumps(labels), changed.updated_ns, changed.version, found.id),
        )
        emit(connection, _event(kind, "update", changed))
    keep_object_copy(connection, kind, found.id)
    return changed


def remove_object(connection: sqlite3.Connection, paths: Paths, kind: Kind, word: str) -> StoredObject:
    """Remove it, and its content with it. Raises NotFoundError; ConflictError where a service uses it."""
    root = objects_root(paths, kind)
    with transaction(connection):
        tidy(connection, paths, kind)
        found = find_object(connection, kind, word)
        _refuse_used(connection, kind, found)
        connection.execute(f"DELETE FROM {kind} WHERE id = ?", (found.id,))
        emit(connection, _event(kind, "remove", found))
        with suppress(FileNotFoundError):
            os.rename(f"{root}/{found.id}", f"{root}/{_GONE}{found.id}")
    _remove_directory(f"{root}/{_GONE}{found.id}")
    return found


def _refuse_used(connection: sqlite3.Connection, kind: Kind, found: StoredObject) -> None:
    rows = connection.execute(
        "SELECT DISTINCT service.name"
        f" FROM service, json_each(json_extract(record, '$.spec'), '$.request.{kind}s') AS used"
        " WHERE NOT removing AND json_extract(used.value, '$.source') IN (?, ?) ORDER BY service.name",
        (found.id, found.name),
    )
    users = [name for (name,) in rows]
    if users:
        noun = "service" if len(users) == 1 else "services"
        raise ConflictError(
            f"{kind} '{found.name}' is in use by the following {noun}: {', '.join(users)}",
            mend=f"sandbox service rm {' '.join(users)}",
        )


def read_content(paths: Paths, kind: Kind, found: StoredObject) -> bytes:
    """The content. Raises SandboxError where it is not there, or is not what was kept."""
    try:
        data = _read_aside(objects_root(paths, kind), found.id)
    except OSError as error:
        raise _lost(kind, found, error.strerror or str(error)) from error
    if digest_of(found.id, data) != found.digest:
        raise _lost(kind, found, "it has another digest than when it was made")
    return data


def _read_aside(root: str, object_id: str) -> bytes:
    """The content of an object with a record, whose removal may have been killed before it was done, or is on: it lies
    aside then, until somebody tidies, perhaps now.
    """
    for name in (object_id, f"{_GONE}{object_id}"):
        with suppress(FileNotFoundError), open(f"{root}/{name}/{CONTENT}", "rb") as file:
            return file.read()
    with open(f"{root}/{object_id}/{CONTENT}", "rb") as file:
        return file.read()


def digest_of(object_id: str, data: bytes) -> str:
    """SHA-256 of id and content: what is kept beside a short secret must not be the same wherever it is kept."""
    import hashlib  # takes 2 ms

    return hashlib.sha256(object_id.encode() + b"\0" + data).hexdigest()


def objects_root(paths: Paths, kind: Kind) -> str:
    """The directory with the contents of a kind."""
    return f"{paths.data_root}/{kind}s"


def find_untidy(connection: sqlite3.Connection, paths: Paths, kind: Kind) -> list[tuple[str, bool]]:
    """Within a transaction: directories of which a SIGKILL left no whole object, by name, and whether each is a removal
    whose record is there still.
    """
    root = objects_root(paths, kind)
    try:
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    known = {row[0] for row in connection.execute(f"SELECT id FROM {kind}")}
    found = []
    for name in names:
        if name.startswith(_GONE):
            object_id = name.removeprefix(_GONE)
            found.append((name, object_id in known and object_id not in names))
        # one with a copy of its record is the database's loss, which is told elsewhere
        elif name.startswith(_NEW) or (name not in known and not has_copy(paths.data_root, kind, name)):
            found.append((name, False))
    return found


def tidy(connection: sqlite3.Connection, paths: Paths, kind: Kind) -> None:
    """Within a transaction: finish what killed commands began."""
    root = objects_root(paths, kind)
    for name, is_to_stay in find_untidy(connection, paths, kind):
        if is_to_stay:
            os.rename(f"{root}/{name}", f"{root}/{name.removeprefix(_GONE)}")
        else:
            _remove_directory(f"{root}/{name}")


def tidy_all(connection: sqlite3.Connection, paths: Paths) -> None:
    """Within a transaction: `tidy` for each kind."""
    for kind in KINDS:
        tidy(connection, paths, kind)


def _sync(directory: str) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove_directory(directory: str) -> None:
    """The content first: it is what must go."""
    for name in (CONTENT, RECORD, f".{RECORD}.new"):
        with suppress(FileNotFoundError):
            os.unlink(f"{directory}/{name}")
    with suppress(FileNotFoundError):
        os.rmdir(directory)


def _lost(kind: Kind, found: StoredObject, cause: str) -> SandboxError:
    return SandboxError(
        f"the content of {kind} {found.name} cannot be read",
        cause=cause,
        mend=f"sandbox {kind} rm {found.name}, then make it again",
    )


def _event(kind: Kind, action: str, subject: StoredObject) -> Event:
    return Event(kind, action, subject.id, {"name": subject.name})


def _object(
    object_id: str,
    name: str,
    created_ns: int,
    updated_ns: int,
    version: int,
    labels: str,
    digest: str,
    size_bytes: int,
    template: str,
) -> StoredObject:
    known = json.loads(labels)
    return StoredObject(object_id, name, created_ns, updated_ns, version, known, digest, size_bytes, template)
