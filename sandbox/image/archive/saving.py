"""`save`: images as one tar that Docker, podman, skopeo and OCI tools read alike. Layers go out as they came in."""

from __future__ import annotations

import io
import json
import os
import tarfile
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from sandbox.errors import ImageError, translated
from sandbox.events import emit
from sandbox.image.events import image_event
from sandbox.image.go_json import load_document
from sandbox.image.media_types import OCI_INDEX, OCI_MANIFEST
from sandbox.image.platforms import require_platform
from sandbox.image.recording import content_store
from sandbox.image.references import is_digest, is_identifier, parse_reference
from sandbox.image.store import get_image, tags_of
from sandbox.state import open_state
from sandbox.transactions import transaction
from storage.digests import parse_digest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence

    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths
    from storage.content import ContentStore


class ChosenImage(NamedTuple):
    """An image to save, under the names asked for; `annotations` are of the descriptors that name it in index.json."""

    record: ImageRecord
    names: tuple[Reference, ...]
    annotations: Mapping[str, str] = {}


def choose_images(paths: Paths, texts: Sequence[str], platform: str | None = None) -> tuple[ChosenImage, ...]:
    """What `texts` name, each image once; a repository without tag means all its tags. Raises NotFoundError, also for
    what is for another platform than that asked for.
    """
    chosen: dict[str, ChosenImage] = {}
    with open_state(paths) as connection:
        for text in texts:
            for record, names in _find(connection, text):
                require_platform(record.platform, platform, text)
                before = chosen.get(record.id, ChosenImage(record, ()))
                chosen[record.id] = ChosenImage(record, tuple(dict.fromkeys((*before.names, *names))))
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


def tell_saved(paths: Paths, images: Sequence[ChosenImage]) -> None:
    """Keep the events of what has been saved."""
    with open_state(paths) as connection, transaction(connection):
        for image in images:
            emit(connection, image_event("save", image.record.id, image.record.config))


def write_archive(paths: Paths, images: Sequence[ChosenImage], stream: BinaryIO) -> None:
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
                manifest = load_document(data)
                for descriptor in (manifest["config"], *manifest["layers"]):
                    _add_blob(tar, content, descriptor["digest"], written)
                _add(tar, _blob_name(image.record.manifest_digest), data, written)
            layers = [_blob_name(layer["digest"]) for layer in manifest["layers"]]
            tags = [name.familiar for name in image.names]
            entries.append(
                {"Config": _blob_name(image.record.id), "RepoTags": tags or None, "Layers": layers,
                 "LayerSources": _sources(manifest["layers"], image.record)}
            )  # fmt: skip
            index += _index_entries(image, len(data), manifest.get("mediaType") or OCI_MANIFEST)
            for name in image.names if image.record.layers else ():
                repositories.setdefault(name.familiar_repository, {})[name.tag] = image.record.layers[-1][7:]
        _add_json(tar, "index.json", {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": index})
        _add_json(tar, "manifest.json", entries)
        _add_json(tar, "oci-layout", {"imageLayoutVersion": "1.0.0"})
        _add_json(tar, "repositories", repositories)


def _sources(layers: Iterable[dict[str, Any]], record: ImageRecord) -> dict[str, object]:
    return {
        diff_id: {"mediaType": layer["mediaType"], "size": layer["size"], "digest": layer["digest"]}
        for diff_id, layer in zip(record.config["rootfs"].get("diff_ids") or (), layers, strict=True)
    }


def _index_entries(image: ChosenImage, size: int, media_type: str) -> list[dict[str, object]]:
    descriptor: dict[str, object] = {"mediaType": media_type, "digest": image.record.manifest_digest, "size": size}
    named: list[dict[str, str]] = [
        {"io.containerd.image.name": name.name, "org.opencontainers.image.ref.name": name.tag} for name in image.names
    ]
    annotated = [{**image.annotations, **names} for names in named or [{}]]
    return [{**descriptor, "annotations": annotations} if annotations else descriptor for annotations in annotated]


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
