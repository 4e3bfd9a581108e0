"""The database made again, where it was lost, emptied or damaged: from what the store says of itself.

The new one is made aside, from the copies of the records, then from what can still be read of a damaged one, then from
the manifests among the blobs. Only when it is whole does the old one go aside, under a name that says when, and the new
one take its place: a SIGKILL leaves the one or the other, and the next repair does what was left.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from sandbox.errors import HostError, SandboxError
from sandbox.image.documents import Manifest, decode_config, decode_manifest
from sandbox.image.recording import make_record, plan_layers
from sandbox.image.store import record_image
from sandbox.network.record import PREDEFINED
from sandbox.record_copies import LOST_CAUSE, describe_store, find_unrecorded
from sandbox.state import SCHEMA_VERSION, is_damage, is_full, make_database
from sandbox.transactions import transaction
from sandbox.upkeep.adoption import adopt, unrecorded
from sandbox.upkeep.records import check_database, is_sound
from storage.content import ContentStore
from storage.digests import parse_digest
from storage.errors import StorageError
from storage.layers.store import LayerStore
from storage.locks import lock_directory, unlock

if TYPE_CHECKING:
    from sandbox.paths import Paths

_SUFFIXES = ("", "-wal", "-shm")
_DOCUMENT_BYTES_MAX = 4 << 20
#: in the order of what refers to what
_TABLES = (
    "image", "image_name", "image_digest", "image_parent", "container", "volume", "network", "endpoint", "secret",
    "config", "setting", "build_cache", "layer_blob", "blob_source", "build_mount", "event", "service",
    "service_spec", "task",
)  # fmt: skip


def find_loss(paths: Paths) -> str:
    """What is wrong with the database as a whole, or ""; what the store has beside it is looked at first."""
    try:
        size = os.stat(paths.database).st_size
    except FileNotFoundError:
        size = -1
    held = describe_store(paths.data_root)
    if size <= 0:
        what = "empty" if size == 0 else "missing"
        return f"it is {what}, and the store beside it holds {held}: {LOST_CAUSE}" if held else ""
    try:
        with closing(sqlite3.connect(f"file:{_quoted(paths.database)}?mode=rw", timeout=30, uri=True)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0 and held:
                return f"it has no tables, and the store beside it holds {held}: {LOST_CAUSE}"
            problems = check_database(connection)
            if version == SCHEMA_VERSION and not problems and _knows_nothing(connection):
                lost = find_unrecorded(connection, paths.data_root)
                return f"it is empty, and the store beside it holds {held}: {LOST_CAUSE}" if lost else ""
    except sqlite3.Error as error:
        # what is no damage (a full disk, no permission) is told when it is opened to be used
        return f"it is damaged: {error}" if is_damage(error) and not is_full(error) else ""
    return f"it is damaged: {problems[0]}" if problems else ""


def rebuild_database(paths: Paths) -> str:
    """Put a new one in its place; where the old one is now, "" where there was none. The caller holds the images
    alone. Raises SandboxError.
    """
    new = f"{paths.database}.new"
    held = lock_directory(paths.data_root)
    try:
        with closing(make_database(new)) as connection:
            adopt_all(connection, paths)
            with _OldDatabase(paths) as old:
                salvage(old, connection, paths)
            adopt_manifests(connection, paths)
        kept = _set_aside(paths)
        os.rename(new, paths.database)
        os.fsync(held)
    except (sqlite3.Error, OSError) as error:
        raise HostError(
            f"cannot make the database {paths.database} again", cause=str(error), mend=f"df -h {paths.data_root}"
        ) from error
    finally:
        unlock(held)
    return kept


def adopt_all(connection: sqlite3.Connection, paths: Paths) -> None:
    """Every copy that can be read; others stay, and are told by the check."""
    content = ContentStore(f"{paths.data_root}/blobs")
    for table, name in unrecorded(connection, paths):
        with suppress(SandboxError):
            adopt(connection, paths, content, table, name)


class _OldDatabase:
    """A copy of the old database to read from: reading a file of SQLite's may write to it."""

    def __init__(self, paths: Paths) -> None:
        self._source = paths.database
        self._place = f"{paths.data_root}/.old-database"
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> sqlite3.Connection:
        shutil.rmtree(self._place, ignore_errors=True)
        os.mkdir(self._place, 0o700)
        for suffix in _SUFFIXES[:2]:
            with suppress(FileNotFoundError):
                shutil.copyfile(self._source + suffix, f"{self._place}/old{suffix}")
        self._connection = sqlite3.connect(f"{self._place}/old", isolation_level=None)
        self._connection.text_factory = lambda data: data.decode(errors="replace")
        return self._connection

    def __exit__(self, *_exception: object) -> None:
        assert self._connection is not None
        with suppress(sqlite3.Error):
            self._connection.close()
        shutil.rmtree(self._place, ignore_errors=True)


def salvage(old: sqlite3.Connection, new: sqlite3.Connection, paths: Paths) -> None:
    """Take over the rows that can be read of a damaged database, of what the store has and `new` does not know."""
    adopted = {row[0] for row in new.execute("SELECT id FROM image")}
    for table in _TABLES:
        columns = _shared_columns(table, old, new)
        known = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        with suppress(sqlite3.Error), transaction(new):
            for values in _rows(old, f"SELECT {known} FROM {table}"):
                row = dict(zip(columns, values, strict=True))
                if row.get("image_id") in adopted and table != "container":
                    continue  # its copy has its names, and these may be damaged
                if is_sound(table, row) and _is_stored(paths, table, row):
                    with suppress(sqlite3.Error):
                        # those that are always there have other ids in a new database
                        way = "REPLACE" if table == "network" and row.get("name") in PREDEFINED else "IGNORE"
                        new.execute(f"INSERT OR {way} INTO {table} ({known}) VALUES ({marks})", values)


def _shared_columns(table: str, old: sqlite3.Connection, new: sqlite3.Connection) -> list[str]:
    """The table's columns; those that an older program did not have keep their defaults."""
    query = f"PRAGMA table_info({table})"
    there = {row[1] for row in _rows(old, query)}
    return [row[1] for row in new.execute(query) if row[1] in there or not there]


def _rows(old: sqlite3.Connection, query: str) -> list[tuple[object, ...]]:
    rows = []
    # what SQLite says of the damage may be no text either
    with suppress(sqlite3.Error, UnicodeDecodeError):
        for row in old.execute(query):
            rows.append(row)  # those before the damage count
    return rows


def _is_stored(paths: Paths, table: str, row: dict[str, object]) -> bool:
    """Whether the store has what the row is of: a name may be damaged, and then nothing of that name is there."""
    if table == "container":
        return os.path.isdir(paths.container_data(str(row["id"])))
    if table == "volume":
        return os.path.isdir(f"{paths.volumes}/{row['name']}")
    if table in ("secret", "config"):
        return os.path.isdir(f"{paths.data_root}/{table}s/{row['id']}")
    if table == "image":
        return ContentStore(f"{paths.data_root}/blobs").has(parse_digest(str(row["id"])))
    return True


def adopt_manifests(connection: sqlite3.Connection, paths: Paths) -> None:
    """Images without a name, of the manifests among the blobs whose config and layers are all there: what a store
    says of itself that is older than the copies.
    """
    content, layers = ContentStore(f"{paths.data_root}/blobs"), LayerStore(paths.layers)
    known = {row[0] for row in connection.execute("SELECT id FROM image")}
    for digest in content.digests():
        if content.size(digest) > _DOCUMENT_BYTES_MAX:
            continue
        with suppress(SandboxError, StorageError, ValueError, KeyError, TypeError):
            manifest = decode_manifest(content.read(digest), "", digest)
            if not isinstance(manifest, Manifest) or manifest.config.digest in known:
                continue
            config_digest = manifest.config.digest
            config_data = content.read(parse_digest(config_digest))
            config = decode_config(config_data, digest)
            planned = plan_layers(
                [parse_digest(layer.digest) for layer in manifest.layers], config, content, str(digest)
            )
            if all(layers.has(layer.chain_id) for layer in planned):
                record = make_record(config_digest, digest, config, config_data, planned, layers)
                with transaction(connection):
                    record_image(connection, record, [], [])
                known.add(config_digest)


def _set_aside(paths: Paths) -> str:
    """Give the old database and what belongs to it a name of their own; the name, "" where there was nothing in it."""
    there = [suffix for suffix in _SUFFIXES if os.path.lexists(paths.database + suffix)]
    if not any(os.lstat(paths.database + suffix).st_size for suffix in there):
        for suffix in there:
            os.unlink(paths.database + suffix)
        return ""
    aside = f"{paths.database}.damaged-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    for suffix in there[::-1]:
        os.rename(paths.database + suffix, aside + suffix)
    return aside


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _knows_nothing(connection: sqlite3.Connection) -> bool:
    query = (
        "SELECT (SELECT count(*) FROM image) + (SELECT count(*) FROM container) + (SELECT count(*) FROM volume)"
        " + (SELECT count(*) FROM secret) + (SELECT count(*) FROM config)"
        " + (SELECT count(*) FROM network WHERE name NOT IN ('bridge', 'host', 'none'))"
    )
    (count,) = connection.execute(query).fetchone()
    return int(count) == 0
