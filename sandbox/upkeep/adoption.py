"""Taking back what the store holds and the database does not know, from the copies of the records.

A container or a volume comes back as its copy says; one whose name is taken meanwhile gets another. An image takes its
names back, except where the image that has one now says so too and was had later.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sandbox.container.model.documents import from_plain, to_json
from sandbox.container.model.names import random_name
from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.container.model.store import insert_container
from sandbox.container.request.request import ContainerRequest
from sandbox.errors import ConflictError, ImageError, SandboxError
from sandbox.image.copies import document_of, keep_image_copies
from sandbox.image.references import Reference, parse_reference
from sandbox.image.store import ImageRecord, record_image, set_name, set_parent
from sandbox.record_copies import (
    NETWORK_COLUMNS,
    OBJECT_COLUMNS,
    copy_path,
    find_unrecorded,
    keep_container_copy,
    keep_object_copy,
    read_copy,
)
from sandbox.transactions import transaction
from storage.digests import digest_hex, parse_digest
from storage.errors import StorageError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sandbox.paths import Paths
    from storage.content import ContentStore


class LostCopyError(SandboxError):
    """A copy that cannot be made a record again."""


def unrecorded(connection: sqlite3.Connection, paths: Paths) -> Iterator[tuple[str, str]]:
    """Table and name of what can be adopted; images first, for containers are made of them."""
    found = find_unrecorded(connection, paths.data_root)
    for table in ("image", "volume", "network", "secret", "config", "container"):
        for name in found.get(table, ()):
            yield table, name


def shown_name(paths: Paths, table: str, name: str) -> str:
    """As a person knows it."""
    copy = read_copy(copy_path(paths.data_root, table, name)) or {}
    if table == "image":
        try:
            return next(iter(parse_reference(text).familiar for text in copy.get("names") or ()), name)
        except (ImageError, TypeError):
            return name
    return str(copy.get("name") or name)


def adopt(connection: sqlite3.Connection, paths: Paths, content: ContentStore, table: str, name: str) -> None:
    """Make a record of the copy. Raises SandboxError where it cannot be one."""
    path = copy_path(paths.data_root, table, name)
    copy = read_copy(path)
    try:
        if copy is None:
            raise LostCopyError(f"the record's copy {path} cannot be read")
        if table == "container":
            _adopt_container(connection, copy)
        elif table == "volume":
            _adopt_volume(connection, copy)
        elif table == "network":
            _adopt_network(connection, copy)
        elif table in ("secret", "config"):
            _adopt_object(connection, table, copy)
        else:
            _adopt_image(connection, path, copy, content)
    except (TypeError, ValueError, KeyError, AttributeError, StorageError, ImageError) as error:
        raise LostCopyError(f"the record's copy {path} cannot be read", cause=str(error)) from error


def _adopt_container(connection: sqlite3.Connection, copy: dict[str, Any]) -> None:
    container = Container(
        str(copy["id"]),
        str(copy["name"]),
        int(copy["created_ns"]),
        from_plain(ContainerConfig, copy["config"]),
        from_plain(ContainerState, copy["state"]),
    )
    request = to_json(from_plain(ContainerRequest, copy["request"])) if copy.get("request") else ""
    names = (container.name, f"{container.name}-{container.id[:12]}", random_name(9))
    with transaction(connection):
        for name in names:
            try:
                insert_container(connection, container._replace(name=name), request)
            except ConflictError:
                continue
            break
        keep_container_copy(connection, container.id)


def _adopt_volume(connection: sqlite3.Connection, copy: dict[str, Any]) -> None:
    # those of an older program have no options
    labels, options = str(copy["labels"]), str(copy.get("options", "{}"))
    json.loads(labels)
    json.loads(options)
    connection.execute(
        "INSERT OR IGNORE INTO volume (name, created_ns, labels, anonymous, options) VALUES (?, ?, ?, ?, ?)",
        (str(copy["name"]), int(copy["created_ns"]), labels, int(copy["anonymous"]), options),
    )


def _adopt_network(connection: sqlite3.Connection, copy: dict[str, Any]) -> None:
    # a copy of before networks had options of addresses
    copy = {"ipam_options": "{}"} | copy
    for column in ("options", "labels", "auxiliary", "egress", "ipam_options"):
        json.loads(str(copy[column]))
    columns = ", ".join(NETWORK_COLUMNS)
    marks = ", ".join("?" for _ in NETWORK_COLUMNS)
    connection.execute(
        f"INSERT OR IGNORE INTO network ({columns}) VALUES ({marks})", [copy[column] for column in NETWORK_COLUMNS]
    )


def _adopt_object(connection: sqlite3.Connection, table: str, copy: dict[str, Any]) -> None:
    """A secret or a config, whose name another may have meanwhile."""
    json.loads(str(copy["labels"]))
    # copies of an earlier version do not say it
    copy = {"template": "", **copy}
    columns = ", ".join(OBJECT_COLUMNS)
    marks = ", ".join("?" for _ in OBJECT_COLUMNS)
    with transaction(connection):
        known = connection.execute(f"SELECT 1 FROM {table} WHERE name = ?", (str(copy["name"]),)).fetchone()
        name = f"{copy['name']}-{str(copy['id'])[:12]}" if known else copy["name"]
        values = [name if column == "name" else copy[column] for column in OBJECT_COLUMNS]
        connection.execute(f"INSERT OR IGNORE INTO {table} ({columns}) VALUES ({marks})", values)
        keep_object_copy(connection, table, str(copy["id"]))


def _adopt_image(connection: sqlite3.Connection, path: str, copy: dict[str, Any], content: ContentStore) -> None:
    config = put_back(content, path, str(copy["id"]))
    put_back(content, path, str(copy["manifest_digest"]))
    record = ImageRecord(
        str(copy["id"]),
        "",
        tuple(str(parse_digest(layer)) for layer in copy["layers"]),
        json.loads(config),
        str(copy["platform"]),
        str(copy["manifest_digest"]),
        int(copy["created_ns"]),
        int(copy["pulled_ns"]),
        int(copy["size_bytes"]),
    )
    names = [parse_reference(str(text)) for text in copy["names"]]
    digests = [(str(repository), str(digest)) for repository, digest in copy["digests"]]
    with transaction(connection):
        free = [name for name in names if not _belongs_to_another(connection, path, name, record.pulled_ns)]
        record_image(connection, record, free, digests)
        if copy.get("parent"):
            set_parent(connection, record.id, str(parse_digest(str(copy["parent"]))))
    keep_image_copies(connection)


def lost_names(connection: sqlite3.Connection, paths: Paths) -> Iterator[tuple[str, Reference]]:
    """The images' names that are in a copy, and that the database gives to no image."""
    known = {name for (name,) in connection.execute("SELECT name FROM image_name")}
    for (image_id,) in connection.execute("SELECT id FROM image").fetchall():
        copy = read_copy(copy_path(paths.data_root, "image", image_id)) or {}
        for text in copy.get("names") or ():
            with suppress(ImageError):
                name = parse_reference(str(text))
                if name.name not in known:
                    yield image_id, name


def adopt_name(connection: sqlite3.Connection, image_id: str, name: Reference) -> None:
    """Give the image this name, unless another has it meanwhile."""
    with transaction(connection):
        if connection.execute("SELECT 1 FROM image_name WHERE name = ?", (name.name,)).fetchone() is None:
            set_name(connection, name, image_id)


def put_back(content: ContentStore, path: str, digest: str) -> bytes:
    """The document of an image, put back among the blobs from the copy at `path` where it is lost there."""
    blob = parse_digest(digest)
    try:
        return content.read(blob)
    except StorageError:
        data = document_of(path, digest)
        if data is None:
            raise
        content.delete(blob)
        content.put(data)
        return data


def _belongs_to_another(connection: sqlite3.Connection, path: str, name: Reference, pulled_ns: int) -> bool:
    row = connection.execute(
        "SELECT id, pulled_ns FROM image WHERE id = (SELECT image_id FROM image_name WHERE name = ?)", (name.name,)
    ).fetchone()
    if row is None:
        return False
    holder = read_copy(f"{path.rpartition('/')[0]}/{digest_hex(parse_digest(row[0]))}")
    says_so = holder is None or name.name in holder.get("names", ())
    return says_so and int(row[1]) > pulled_ns
