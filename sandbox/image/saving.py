"""`save`: images as one tar that Docker, podman, skopeo and OCI tools read alike. Layers go out as they came in."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from sandbox.errors import ImageError, translated
from sandbox.image.documents import OCI_INDEX, OCI_MANIFEST, Manifest, decode_manifest
from sandbox.image.recording import content_store
from sandbox.image.references import is_digest, is_identifier, parse_reference
from sandbox.image.store import get_image
from sandbox.state import open_state
from storage.digests import parse_digest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from sandbox.image.documents import Descriptor
    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths
    from storage.content import ContentStore


class _Chosen(NamedTuple):
    """An image to save, under the names asked for."""

    record: ImageRecord
    names: tuple[Reference, ...]


def choose_images(paths: Paths, texts: Sequence[str]) -> tuple[_Chosen, ...]:
    """What `texts` name, each image once; a repository without tag means all its tags. Raises NotFoundError."""
    connection = open_state(paths)
    chosen: dict[str, _Chosen] = {}
    try:
        for text in texts:
            for record, names in _find(connection, text):
                before = chosen.get(record.id, _Chosen(record, ()))
                chosen[record.id] = _Chosen(record, tuple(dict.fromkeys((*before.names, *names))))
    finally:
        connection.close()
    return tuple(chosen.values())


def _find(connection: sqlite3.Connection, text: str) -> list[tuple[ImageRecord, tuple[Reference, ...]]]:
    if not is_identifier(text) and not is_digest(text):
        tags = _tags(connection, text)
        if tags:
            return [(get_image(connection, tag.name), (tag,)) for tag in tags]
    record = get_image(connection, text)
    named = record.name != record.id and "@" not in text
    return [(record, (parse_reference(parse_reference(text).name),) if named else ())]


def _tags(connection: sqlite3.Connection, text: str) -> tuple[Reference, ...]:
    """Every tag of the repository `text`; none where it has a tag or digest, or is no name."""
    try:
        reference = parse_reference(text)
    except ImageError:
        return ()
    if reference.tag or reference.digest:
        return ()
    return tags_of(connection, reference.repository)


def tags_of(connection: sqlite3.Connection, repository: str) -> tuple[Reference, ...]:
    """Every name here of the repository, which is normalised, in alphabetical order."""
    prefix = f"{repository}:"
    # ";" follows ":", and a tag holds neither
    rows = connection.execute(
        "SELECT name FROM image_name WHERE name >= ? AND name < ? ORDER BY name", (prefix, f"{prefix[:-1]};")
    )
    return tuple(parse_reference(name) for (name,) in rows)


def write_archive(paths: Paths, images: Sequence[_Chosen], stream: BinaryIO) -> None:
    """Write the images to `stream`, which need not seek. Raises ImageError where a blob is missing or damaged."""
    content = content_store(paths)
    entries, index, repositories = [], [], dict[str, dict[str, str]]()
    with tarfile.open(fileobj=stream, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        written: set[str] = set()
        for directory in ("blobs", "blobs/sha256"):
            # named, or a reader that unpacks with owners makes them root's
            header = _header(directory, 0)
            header.type, header.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(header)
        for image in images:
            with translated(ImageError, f"cannot save {image.record.id[:19]}"):
                data = content.read(parse_digest(image.record.manifest_digest))
                manifest = decode_manifest(data, "", image.record.id)
                assert isinstance(manifest, Manifest)
                for digest in (manifest.config.digest, *(layer.digest for layer in manifest.layers)):
                    _add_blob(tar, content, digest, written)
                _add(tar, _blob_name(image.record.manifest_digest), data, written)
            layers = [_blob_name(layer.digest) for layer in manifest.layers]
            tags = [name.familiar for name in image.names]
            entries.append(
                {"Config": _blob_name(image.record.id), "RepoTags": tags or None, "Layers": layers,
                 "LayerSources": _sources(manifest.layers, image.record)}
            )  # fmt: skip
            index += _index_entries(image, len(data), manifest.media_type or OCI_MANIFEST)
            for name in image.names if image.record.layers else ():
                repositories.setdefault(name.familiar_repository, {})[name.tag] = image.record.layers[-1][7:]
        _add_json(tar, "index.json", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": index})
        _add_json(tar, "manifest.json", entries)
        _add_json(tar, "oci-layout", {"imageLayoutVersion": "1.0.0"})
        _add_json(tar, "repositories", repositories)


def _sources(layers: Iterable[Descriptor], record: ImageRecord) -> dict[str, object]:
    return {
        diff_id: {"mediaType": layer.media_type, "size": layer.size, "digest": layer.digest}
        for diff_id, layer in zip(record.config["rootfs"]["diff_ids"], layers, strict=True)
    }


def _index_entries(image: _Chosen, size: int, media_type: str) -> list[dict[str, object]]:
    descriptor: dict[str, object] = {"mediaType": media_type, "digest": image.record.manifest_digest, "size": size}
    if not image.names:
        return [descriptor]
    return [
        {
            **descriptor,
            "annotations": {
                "io.containerd.image.name": name.name,
                "org.opencontainers.image.ref.name": name.tag,
            },
        }
        for name in image.names
    ]


def _add_blob(tar: tarfile.TarFile, content: ContentStore, digest_text: str, written: set[str]) -> None:
    digest = parse_digest(digest_text)
    name = _blob_name(digest)
    if name in written:
        return
    written.add(name)
    with content.open(digest) as blob:
        tar.addfile(_header(name, content.size(digest)), blob)


def _add(tar: tarfile.TarFile, name: str, data: bytes, written: set[str]) -> None:
    if name not in written:
        written.add(name)
        tar.addfile(_header(name, len(data)), io.BytesIO(data))


def _add_json(tar: tarfile.TarFile, name: str, document: object) -> None:
    _add(tar, name, json.dumps(document, separators=(",", ":")).encode(), set())


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size = size
    header.mode = 0o644
    # an unprivileged reader that unpacks with owners (skopeo's oci-archive does) can give files to itself only
    header.uid, header.gid = os.getuid(), os.getgid()
    return header


def _blob_name(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
