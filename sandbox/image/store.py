"""Images in the database: found by whatever a person types, listed, tagged, recorded.

Light on purpose (sqlite3 and json only): `run` finds its image here on every start. What removes files is in
`removal.py`, what fetches them in `pull.py`.
"""

from __future__ import annotations

import json

from sandbox.errors import ConflictError, ImageError, ImageNotFoundError
from sandbox.image.events import emit_of
from sandbox.image.references import Reference, is_digest, is_identifier, parse_reference
from sandbox.named_tuple import NamedTuple
from sandbox.record_copies import unreadable_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from typing import Any

#: the shortest text that is tried as the beginning of an image ID
_PREFIX_LENGTH_MIN = 1
_COLUMNS = "id, manifest_digest, created_ns, pulled_ns, size_bytes, platform, layers, config"


class ImageRecord(NamedTuple):
    """One image; `name` is what it was found by, as people write it, or its ID."""

    id: str  # sha256:…, the digest of the config
    name: str
    layers: tuple[str, ...]  # chain ids, lowest first
    config: dict[str, Any]  # the image config document
    platform: str
    manifest_digest: str
    created_ns: int
    pulled_ns: int
    size_bytes: int


def find_image(connection: sqlite3.Connection, text: str) -> ImageRecord | None:
    """The image `text` names: `name[:tag]`, `name@digest`, an ID or the beginning of one; None where there is none.

    A name wins over an ID it could begin. Raises ImageError for a text that can be neither, or that begins several IDs.
    """
    invalid: ImageError | None = None
    try:
        found = find_named_image(connection, text)
    except ImageError as error:
        invalid = error
    else:
        if found is not None or is_full_id(text):
            return found
    prefix = text.removeprefix("sha256:")
    if len(prefix) >= _PREFIX_LENGTH_MIN and set(prefix) <= set("0123456789abcdef"):
        return _by_prefix(connection, prefix)
    if invalid is not None:
        raise invalid
    return None


def find_named_image(connection: sqlite3.Connection, text: str) -> ImageRecord | None:
    """The image of this name, or of this whole ID; None where there is none. Raises ImageError for what is neither.

    For names that a file gives: what the beginning of an ID means depends on what else lies in the store.
    """
    if is_full_id(text):
        digest = text if is_digest(text) else f"sha256:{text}"
        return _select(connection, "id = ?1 OR manifest_digest = ?1 ORDER BY id = ?1 DESC LIMIT 1", digest, digest)
    return _by_reference(connection, parse_reference(text))


def find_by_digest(connection: sqlite3.Connection, text: str) -> ImageRecord | None:
    """The image that has the digest at the end of this name, whatever it is called by now; None where there is none.

    What was built or loaded here has no name with a digest, and loses its own to the next one.
    """
    digest = text.rpartition("@")[2]
    if digest == text or not is_digest(digest):
        return None
    return _select(connection, "manifest_digest = ? ORDER BY pulled_ns DESC LIMIT 1", text, digest)


def is_full_id(text: str) -> bool:
    """Whether `text` is an ID and no name: 64 hexadecimal digits, with `sha256:` before them or not."""
    return is_identifier(text) or is_digest(text)


def get_image(connection: sqlite3.Connection, text: str) -> ImageRecord:
    """Like find_image; raises NotFoundError where there is none."""
    found = find_image(connection, text)
    if found is None:
        mend = f"sandbox pull {text}; sandbox images lists what is here"
        told = f"No such image: {told_name(text)}"
        raise ImageNotFoundError(told, mend=mend, word=text, near=near_image(connection, text))
    return found


def told_name(text: str) -> str:
    """What was asked for as Docker says that it is not there: a name without a tag with `latest`."""
    if is_full_id(text):
        return text
    try:
        reference = parse_reference(text)
    except ImageError:
        return text
    return reference.familiar if reference.tag or reference.digest else f"{reference.familiar}:latest"


def load_image(connection: sqlite3.Connection, image_id: str) -> ImageRecord | None:
    """The image with this whole id, or None."""
    return _select(connection, "id = ?", image_id, image_id)


def near_image(connection: sqlite3.Connection, text: str) -> str:
    """The name of an image that is here and may have been meant by `text`; "" where none is like it."""
    from sandbox.near_names import nearest  # only an error pays for it

    rows = connection.execute("SELECT name FROM image_name ORDER BY name").fetchall()
    return nearest(
        text.removesuffix(":latest"), [parse_reference(name).familiar.removesuffix(":latest") for (name,) in rows]
    )


def list_images(connection: sqlite3.Connection) -> list[ImageRecord]:
    """Every image, newest first; `name` is the ID."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM image ORDER BY created_ns DESC, id").fetchall()
    return [_record(row, row[0]) for row in rows]


def names_of(connection: sqlite3.Connection, image_id: str) -> tuple[Reference, ...]:
    """The names that point to an image, each with its tag, in alphabetical order."""
    rows = connection.execute("SELECT name FROM image_name WHERE image_id = ? ORDER BY name", (image_id,))
    return tuple(parse_reference(name) for (name,) in rows)


def digests_of(connection: sqlite3.Connection, image_id: str) -> tuple[Reference, ...]:
    """`repository@digest` for everything a registry called this image."""
    rows = connection.execute(
        "SELECT repository, digest FROM image_digest WHERE image_id = ? ORDER BY repository, digest", (image_id,)
    )
    return tuple(parse_reference(f"{repository}@{digest}") for repository, digest in rows)


def tag_image(connection: sqlite3.Connection, image_id: str, target: str) -> Reference:
    """Let the name `target` point to the image, within a transaction; it is taken from the image that had it. Raises
    ImageError.
    """
    reference = parse_reference(target)
    if reference.digest:
        raise ImageError(f"refusing to create a tag with a digest reference: {target!r}", mend="leave @sha256:… out")
    if reference.familiar_repository in ("sha256", "sha512"):
        raise ImageError(
            "refusing to create an ambiguous tag using digest algorithm as name", mend=f"another name than {target}"
        )
    set_name(connection, reference, image_id)
    emit_of(connection, "tag", image_id, reference.familiar)
    return reference


def set_name(connection: sqlite3.Connection, reference: Reference, image_id: str) -> None:
    """Point the name to the image. Raises NotFoundError where the image has gone meanwhile."""
    import sqlite3

    try:
        connection.execute(
            "INSERT INTO image_name VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET image_id = excluded.image_id",
            (reference.name, image_id),
        )
    except sqlite3.IntegrityError as error:
        raise ImageNotFoundError(f"No such image: {image_id}", cause="it was removed meanwhile") from error


def record_image(
    connection: sqlite3.Connection,
    record: ImageRecord,
    names: Sequence[Reference],
    digests: Sequence[tuple[str, str]],
) -> None:
    """Write an image with its names and (repository, digest) pairs; the caller holds the transaction. Twice is safe."""
    connection.execute(
        f"INSERT INTO image ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "manifest_digest = excluded.manifest_digest, pulled_ns = excluded.pulled_ns",
        (
            record.id,
            record.manifest_digest,
            record.created_ns,
            record.pulled_ns,
            record.size_bytes,
            record.platform,
            json.dumps(record.layers),
            json.dumps(record.config),
        ),
    )
    for name in names:
        set_name(connection, name, record.id)
    for repository, digest in digests:
        connection.execute("INSERT OR IGNORE INTO image_digest VALUES (?, ?, ?)", (repository, digest, record.id))


def set_parent(connection: sqlite3.Connection, image_id: str, parent_id: str) -> None:
    """Note which image the container had that this one is made of; within the transaction of `record_image`."""
    connection.execute("INSERT OR REPLACE INTO image_parent VALUES (?, ?)", (image_id, parent_id))


def parent_of(connection: sqlite3.Connection, image_id: str) -> str:
    """The id of the image's parent, which may be gone; "" where it has none."""
    row = connection.execute("SELECT parent_id FROM image_parent WHERE image_id = ?", (image_id,)).fetchone()
    return str(row[0]) if row is not None else ""


def children_of(connection: sqlite3.Connection, image_id: str) -> tuple[str, ...]:
    """The ids of the images that have this one as their parent."""
    rows = connection.execute("SELECT image_id FROM image_parent WHERE parent_id = ? ORDER BY image_id", (image_id,))
    return tuple(child for (child,) in rows)


def _by_reference(connection: sqlite3.Connection, reference: Reference) -> ImageRecord | None:
    if reference.digest:
        return _select(
            connection,
            "id IN (SELECT image_id FROM image_digest WHERE repository = ? AND digest = ?) "
            "ORDER BY pulled_ns DESC LIMIT 1",
            reference.familiar,
            reference.repository,
            reference.digest,
        )
    return _select(
        connection,
        "id = (SELECT image_id FROM image_name WHERE name = ?)",
        f"{reference.familiar_repository}:{reference.tag or 'latest'}",
        reference.name,
    )


def _by_prefix(connection: sqlite3.Connection, prefix: str) -> ImageRecord | None:
    # a range, not LIKE: it uses the primary key's index. "g" follows every hexadecimal digit
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM image WHERE id >= ? AND id < ? LIMIT 2", (f"sha256:{prefix}", f"sha256:{prefix}g")
    ).fetchall()
    if len(rows) > 1:
        raise ConflictError(
            f"image ID prefix {prefix!r} is ambiguous",
            cause="several images begin so",
            mend="sandbox images --no-trunc",
        )
    return _record(rows[0], rows[0][0]) if rows else None


def _select(connection: sqlite3.Connection, where: str, name: str, *values: str) -> ImageRecord | None:
    row = connection.execute(f"SELECT {_COLUMNS} FROM image WHERE {where}", values).fetchone()
    return None if row is None else _record(row, name)


def _record(row: tuple[Any, ...], name: str) -> ImageRecord:
    image_id, manifest_digest, created_ns, pulled_ns, size_bytes, platform, layers, config = row
    try:
        chain, document = tuple(json.loads(layers)), json.loads(config)
    except (ValueError, TypeError) as error:
        raise unreadable_error("image", image_id, error) from error
    return ImageRecord(
        image_id,
        name,
        chain,
        document,
        platform,
        manifest_digest,
        created_ns,
        pulled_ns,
        size_bytes,
    )


def tags_of(connection: sqlite3.Connection, repository: str) -> tuple[Reference, ...]:
    """Every name here of the repository, which is normalised, in alphabetical order."""
    prefix = f"{repository}:"
    # ";" follows ":", and a tag holds neither
    rows = connection.execute(
        "SELECT name FROM image_name WHERE name >= ? AND name < ? ORDER BY name", (prefix, f"{prefix[:-1]};")
    )
    return tuple(parse_reference(name) for (name,) in rows)
