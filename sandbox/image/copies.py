"""A copy of each image's record, in `images/<hex of the id>`: what it is called, and the documents it is made of.

The first line holds the row, the names and the digests; the second the manifest and the config as they came, so that a
lost blob of either can be put back. `record_copies.py` says what copies are for.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from sandbox.record_copies import copy_path, data_root_of, read_copy, remove_copy, write_copy
from sandbox.transactions import transaction
from storage.digests import digest_of, parse_digest
from storage.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from typing import Any

_ROW = ("id", "manifest_digest", "created_ns", "pulled_ns", "size_bytes", "platform")


def keep_image_copies(connection: sqlite3.Connection) -> None:
    """Write the copy of each image whose row or names are not what its copy says; the caller holds no transaction."""
    data_root = data_root_of(connection)
    with suppress(OSError):
        # as with a copy: a full disk keeps nobody from what was asked for
        os.makedirs(f"{data_root}/images", mode=0o700, exist_ok=True)
    # nobody else writes rows or copies meanwhile; nothing is written in it, so it costs no sync
    with transaction(connection):
        names, digests = _by_image(connection, "name", "image_name"), _digests(connection)
        parents = dict(connection.execute("SELECT image_id, parent_id FROM image_parent").fetchall())
        rows = connection.execute(f"SELECT layers, {', '.join(_ROW)} FROM image").fetchall()
        for layers, *row in rows:
            line = dict(zip(_ROW, row, strict=True))
            image_id = line["id"]
            line |= {
                "layers": json.loads(layers), "names": names.get(image_id, []), "digests": digests.get(image_id, []),
            }  # fmt: skip
            if image_id in parents:
                line["parent"] = parents[image_id]
            path = copy_path(data_root, "image", image_id)
            before = read_copy(path)
            if before == line:
                continue
            documents = _documents(data_root, path, line)
            # a row that was damaged names documents that are not there: what the copy says is better then
            if before is None or len(documents) == len({line["manifest_digest"], image_id}):
                write_copy(path, f"{json.dumps(line)}\n{json.dumps(documents)}\n")


def drop_image_copy(connection: sqlite3.Connection, image_id: str) -> None:
    """Remove the copy, before the row goes; the caller holds the transaction."""
    remove_copy(copy_path(data_root_of(connection), "image", image_id))


def document_of(path: str, digest: str) -> bytes | None:
    """The document of this digest out of the copy at `path`; None where it is not there, whole."""
    try:
        with open(path, encoding="utf-8") as file:
            file.readline()
            documents = json.loads(file.readline())
        data = str(documents[digest]).encode()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return data if digest_of(data) == digest else None


def _documents(data_root: str, path: str, line: dict[str, Any]) -> dict[str, str]:
    """Manifest and config by their digests, each where it can be had."""
    found = {}
    for digest in (line["manifest_digest"], line["id"]):
        data = _blob(data_root, digest) or document_of(path, digest)
        if data is not None:
            found[digest] = data.decode()
    return found


def is_image_row(image_id: str, manifest_digest: str, layers: str, config: str) -> bool:
    """Whether these columns of a row can be used: one that is damaged would be in the way of every command."""
    try:
        chain, document = json.loads(layers), json.loads(config)
        digests = [parse_digest(text) for text in (image_id, manifest_digest, *chain)]
    except (ValueError, TypeError, StorageError):
        return False
    return bool(digests) and isinstance(document, dict)


def _blob(data_root: str, digest: str) -> bytes | None:
    try:
        with open(f"{data_root}/blobs/sha256/{digest.removeprefix('sha256:')}", "rb") as file:
            data = file.read(16 << 20)
        data.decode()  # a document that is no text is kept as a blob only
    except (OSError, ValueError):
        return None
    return data if digest_of(data) == digest else None


def _by_image(connection: sqlite3.Connection, column: str, table: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for image_id, value in connection.execute(f"SELECT image_id, {column} FROM {table} ORDER BY {column}"):
        found.setdefault(image_id, []).append(value)
    return found


def _digests(connection: sqlite3.Connection) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    query = "SELECT image_id, repository, digest FROM image_digest ORDER BY repository, digest"
    for image_id, repository, digest in connection.execute(query):
        found.setdefault(image_id, []).append([repository, digest])
    return found
