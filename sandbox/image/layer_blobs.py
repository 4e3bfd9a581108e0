"""Layers as blobs that leave this machine: which registries have one, and what a built layer is when compressed.

A layer that came from a registry goes back as it came. One that was made here lies uncompressed in the store; the first
time it is wanted it is compressed, and `layer_blob` remembers how that one is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.errors import ImageError, translated
from sandbox.image.media_types import (
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
)
from storage.digests import parse_digest
from storage.tar.compress import Compression, compress
from storage.tar.decompress import decompressed

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from sandbox.image.references import Reference
    from storage.content import ContentStore
    from storage.tar.compress import CompressionKind

_DOCKER_LAYER_ZSTD = "application/vnd.docker.image.rootfs.diff.tar.zstd"
_KINDS: dict[str, CompressionKind] = {
    OCI_LAYER: "uncompressed", OCI_LAYER_GZIP: "gzip", OCI_LAYER_ZSTD: "zstd",
    DOCKER_LAYER: "uncompressed", DOCKER_LAYER_GZIP: "gzip", _DOCKER_LAYER_ZSTD: "zstd",
}  # fmt: skip
_OCI_TYPES: dict[CompressionKind, str] = {"uncompressed": OCI_LAYER, "gzip": OCI_LAYER_GZIP, "zstd": OCI_LAYER_ZSTD}
_DOCKER_TYPES: dict[CompressionKind, str] = {
    "uncompressed": DOCKER_LAYER, "gzip": DOCKER_LAYER_GZIP, "zstd": _DOCKER_LAYER_ZSTD,
}  # fmt: skip


class LayerForm(NamedTuple):
    """How layers shall leave: `compression` for those made here; with `force` for every one, wherever it is from.

    `oci` chooses the media types; None leaves those of layers that stay as they are.
    """

    compression: Compression = Compression()
    force: bool = False
    oci: bool | None = None


def form_layers(
    connection: sqlite3.Connection, content: ContentStore, diff_ids: Sequence[str],
    descriptors: Sequence[dict[str, Any]], form: LayerForm,
) -> list[dict[str, Any]]:  # fmt: skip
    """The descriptors of an image's layers in the form wanted, their blobs in the store. Raises ImageError."""
    return [
        _form_layer(connection, content, diff_id, descriptor, form)
        for diff_id, descriptor in zip(diff_ids, descriptors, strict=True)
    ]


def _form_layer(
    connection: sqlite3.Connection, content: ContentStore, diff_id: str, descriptor: dict[str, Any], form: LayerForm
) -> dict[str, Any]:
    kind = _KINDS.get(descriptor["mediaType"])
    if kind is None:
        # foreign and nondistributable layers are what they are
        return descriptor
    oci = descriptor["mediaType"] in _OCI_TYPES.values() if form.oci is None else form.oci
    types = _OCI_TYPES if oci else _DOCKER_TYPES
    made_here = kind == "uncompressed" and not sources_of(connection, descriptor["digest"])
    if kind == form.compression.kind or not (form.force or made_here):
        return {**descriptor, "mediaType": types[kind]}
    digest, size = _recompress(connection, content, diff_id, descriptor["digest"], form.compression)
    return {"mediaType": types[form.compression.kind], "digest": digest, "size": size}


def _recompress(
    connection: sqlite3.Connection, content: ContentStore, diff_id: str, blob: str, compression: Compression
) -> tuple[str, int]:
    with translated(ImageError, f"cannot compress layer {diff_id[7:19]}"):
        row = connection.execute(
            "SELECT digest, size FROM layer_blob WHERE diff_id = ? AND compression = ?", (diff_id, str(compression))
        ).fetchone()
        if row is not None and content.has(parse_digest(row[0])):
            return row[0], row[1]
        with content.open(parse_digest(blob)) as stream:
            digest, size = content.put_pieces(compress(_verified(decompressed(stream), diff_id), compression))
    connection.execute(
        "INSERT OR REPLACE INTO layer_blob VALUES (?, ?, ?, ?)", (diff_id, str(compression), digest, size)
    )
    return digest, size


def _verified(pieces: Iterable[bytes], diff_id: str) -> Iterator[bytes]:
    import hashlib

    total = hashlib.sha256()
    for piece in pieces:
        total.update(piece)
        yield piece
    if f"sha256:{total.hexdigest()}" != diff_id:
        raise ImageError(
            f"layer {diff_id[7:19]} is damaged on disk", mend="remove the image, and pull or build it again"
        )


def needed_blobs(connection: sqlite3.Connection, diff_ids: Iterable[str]) -> set[str]:
    """The compressed forms of these layers; those of others are forgotten."""
    wanted = set(diff_ids)
    needed = set()
    for diff_id, digest in connection.execute("SELECT diff_id, digest FROM layer_blob").fetchall():
        if diff_id in wanted:
            needed.add(digest)
        else:
            connection.execute("DELETE FROM layer_blob WHERE diff_id = ?", (diff_id,))
    return needed


def add_source(connection: sqlite3.Connection, reference: Reference, digests: Iterable[str]) -> None:
    """Remember that the repository has these blobs. Twice is safe."""
    connection.executemany(
        "INSERT OR IGNORE INTO blob_source VALUES (?, ?, ?)",
        [(digest, reference.domain, reference.path) for digest in digests],
    )


def sources_of(connection: sqlite3.Connection, digest: str) -> list[tuple[str, str]]:
    """(registry, repository) pairs that were seen to have the blob."""
    return connection.execute(
        "SELECT domain, path FROM blob_source WHERE digest = ? ORDER BY domain, path", (digest,)
    ).fetchall()


def forget_source(connection: sqlite3.Connection, digest: str) -> None:
    """The blob is gone from this machine, and with it the reason to remember."""
    connection.execute("DELETE FROM blob_source WHERE digest = ?", (digest,))
