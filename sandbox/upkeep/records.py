"""What the database claims: the rows that must agree with what is on disk, as plain values."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.container.life.reconcile import reconcile_all
from sandbox.container.model.documents import from_json
from sandbox.container.model.record import ContainerConfig, ContainerState
from sandbox.container.model.store import all_containers
from sandbox.container.request.request import ContainerRequest
from sandbox.events import is_event_row
from sandbox.image.copies import is_image_row
from sandbox.image.store import digests_of, list_images, names_of
from sandbox.state import DatabaseError
from storage.digests import Digest, chain_ids, parse_digest
from storage.errors import StorageError

if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


class ImageClaim(NamedTuple):
    """An image as its row has it. `chain_ids` are those of the row, `diff_ids` those of its config."""

    id: Digest
    names: tuple[str, ...]
    manifest_digest: Digest
    chain_ids: tuple[Digest, ...]
    diff_ids: tuple[Digest, ...]
    #: what cannot be so in the row itself, or ""
    problem: str = ""
    #: whether a registry was seen to have it
    in_registry: bool = False
    #: whether the row has other layers than the config, which is what the image is
    chains_differ: bool = False

    @property
    def shown(self) -> str:
        """As a person knows it."""
        return self.names[0] if self.names else self.id


class CacheClaim(NamedTuple):
    """A step that a build remembers: the layer, and the blob that is its archive; both "" in an unreadable row."""

    key: str
    chain_id: str
    blob: str
    diff_id: str


class Records(NamedTuple):
    """All of the database that names something on disk."""

    images: tuple[ImageClaim, ...]
    containers: tuple[Container, ...]
    volumes: frozenset[str]
    cache: tuple[CacheClaim, ...]

    def used_layers(self) -> set[str]:
        """The layers that somebody may want again."""
        used: set[str] = {chain_id for image in self.images for chain_id in image.chain_ids}
        used.update(layer for container in self.containers for layer in container.config.layers)
        used.update(claim.chain_id for claim in self.cache)
        return used


def read_records(connection: sqlite3.Connection, paths: Paths) -> Records:
    """The records at this moment; containers as they truly are (`reconcile`)."""
    return Records(
        tuple(_image(connection, record.id) for record in list_images(connection)),
        tuple(reconcile_all(connection, paths, all_containers(connection))),
        frozenset(name for (name,) in connection.execute("SELECT name FROM volume")),
        tuple(_cached(key, layer) for key, layer in connection.execute("SELECT key, layer FROM build_cache")),
    )


def check_database(connection: sqlite3.Connection) -> list[str]:
    """What SQLite itself finds wrong with its file."""
    try:
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(10)")]
        lost = connection.execute("PRAGMA foreign_key_check").fetchall()
        found += _unsound(connection)
    except (DatabaseError, UnicodeDecodeError) as error:
        return [str(error)]
    return [text for text in found if text != "ok"] + [f"a row of {row[0]} names nothing" for row in lost]


def _unsound(connection: sqlite3.Connection) -> list[str]:
    """Rows that are in the way of every command: pages may be whole and say something else."""
    found = []
    for table, columns in (
        ("container", ("id", "name", "image_id", "created_ns", "config", "state", "request")),
        (
            "image",
            ("id", "manifest_digest", "created_ns", "pulled_ns", "size_bytes", "platform", "layers", "config"),
        ),
        ("volume", ("name", "created_ns", "labels", "anonymous", "options")),
        ("network", ("id", "name", "options", "labels", "auxiliary", "egress")),
        ("secret", ("labels",)),
        ("config", ("labels",)),
        ("event", ("attributes",)),
        ("service", ("record",)),
        ("service_spec", ("spec",)),
        ("task", ("record",)),
    ):
        rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table}")
        if not all(is_sound(table, dict(zip(columns, row, strict=True))) for row in rows):
            found.append(f"a row of {table} cannot be read")
    return found


def is_sound(table: str, row: dict[str, object]) -> bool:
    """Whether the row can be used: one that is not would be in the way of every command."""
    try:
        if table == "container":
            from_json(ContainerConfig, str(row["config"]))
            from_json(ContainerState, str(row["state"]))
            if row.get("request"):
                from_json(ContainerRequest, str(row["request"]))
        elif table == "image":
            return is_image_row(*(str(row[name]) for name in ("id", "manifest_digest", "layers", "config")))
        elif table == "volume":
            json.loads(str(row["labels"]))
            json.loads(str(row.get("options", "{}")))
        elif table == "network":
            for column in ("options", "labels", "auxiliary", "egress"):
                json.loads(str(row[column]))
            return len(bytes.fromhex(str(row["id"]))) == 32
        elif table in ("secret", "config"):
            json.loads(str(row["labels"]))
        elif table == "event":
            return is_event_row(str(row["attributes"]))
        elif table in ("service", "service_spec", "task"):
            return isinstance(json.loads(str(row["spec" if table == "service_spec" else "record"])), dict)
        elif table == "build_cache":
            _chain_id, _diff_id, descriptor, *_rest = json.loads(str(row["layer"]))
            return isinstance(descriptor["digest"], str)
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    return True


def _image(connection: sqlite3.Connection, image_id: str) -> ImageClaim:
    row = connection.execute("SELECT manifest_digest, layers, config FROM image WHERE id = ?", (image_id,)).fetchone()
    names = tuple(name.familiar for name in names_of(connection, image_id))
    manifest_digest, layers, config = row
    try:
        chain = tuple(parse_digest(text) for text in json.loads(layers))
        document: dict[str, Any] = json.loads(config)
        diff_ids = tuple(parse_digest(text) for text in document["rootfs"].get("diff_ids") or ())
        claim = ImageClaim(
            parse_digest(image_id), names, parse_digest(manifest_digest), chain, diff_ids, "",
            bool(digests_of(connection, image_id)),
        )  # fmt: skip
    except (StorageError, ValueError, KeyError, TypeError, AttributeError) as error:
        nothing = Digest("")
        return ImageClaim(Digest(image_id), names, nothing, (), (), f"its row cannot be read ({error})")
    if chain_ids(diff_ids) != chain:
        return claim._replace(problem="its layers are not those of its config", chains_differ=True)
    return claim


def _cached(key: str, text: str) -> CacheClaim:
    with suppress(ValueError, TypeError, KeyError, IndexError, StorageError):
        layer = json.loads(text)
        chain_id, diff_id, descriptor = layer[0], layer[1], layer[2]
        return CacheClaim(key, parse_digest(chain_id), parse_digest(descriptor["digest"]), parse_digest(diff_id))
    return CacheClaim(key, "", "", "")
