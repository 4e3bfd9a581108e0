"""The documents of an image made of a container: those of its image, with the container's configuration and a layer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.errors import ImageNotFoundError
from sandbox.image.go_json import load_document
from sandbox.image.made_manifests import make_manifest
from sandbox.image.media_types import DOCKER_LAYER, DOCKER_MANIFEST, OCI_LAYER
from sandbox.image.store import ImageRecord, find_image
from storage.digests import parse_digest

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from sandbox.builder.cache.step_cache import BuildLayer
    from sandbox.container.model.record import Container
    from storage.content import ContentStore

#: members of the base's document that are the new image's too
_KEPT = ("architecture", "os", "variant", "os.version", "os.features")
#: members of a container's `Config` that say nothing where they are empty
_EMPTY: tuple[object, ...] = (None, "", False, [], {})


class Base(NamedTuple):
    """The image that a container was made of, as it is here."""

    record: ImageRecord
    #: the descriptors of its layers, lowest first
    layers: tuple[dict[str, Any], ...]
    is_oci: bool


class Story(NamedTuple):
    """What is said of the new image; `created` is RFC 3339."""

    author: str
    comment: str
    created: str
    created_by: str


def find_base(connection: sqlite3.Connection, content: ContentStore, container: Container) -> Base:
    """The container's image. Raises ImageNotFoundError where it was removed."""
    record = find_image(connection, container.config.image_id)
    if record is None:
        raise ImageNotFoundError(
            f"No such image: {container.config.image_id}",
            cause=f"the image of container {container.name} was removed by force",
            mend=f"sandbox export {container.name} | sandbox import - NAME",
        )
    manifest = load_document(content.read(parse_digest(record.manifest_digest)))
    return Base(record, tuple(manifest["layers"]), manifest.get("mediaType") != DOCKER_MANIFEST)


def image_config(container: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:  # Any: JSON
    """What a container of the new image starts from: the `Config` of the container's document, and of the base's what
    containers do not have.
    """
    kept = {name: value for name, value in base.items() if name in ("OnBuild", "Shell", "ArgsEscaped") and value}
    return {**{name: value for name, value in container.items() if value not in _EMPTY}, **kept}


def image_document(
    base: Mapping[str, Any], config: Mapping[str, Any], story: Story, layer: BuildLayer | None
) -> dict[str, Any]:  # Any: JSON
    """The new image's whole document; without a layer the container had changed nothing."""
    rootfs = base.get("rootfs") or {}
    entry: dict[str, Any] = {"created": story.created}
    entry |= {
        name: value
        for name, value in (
            ("author", story.author), ("created_by", story.created_by), ("comment", story.comment)
        ) if value
    }  # fmt: skip
    if layer is None:
        entry["empty_layer"] = True
    return {
        **{name: base[name] for name in _KEPT if base.get(name)},
        "created": story.created,
        **({"author": story.author} if story.author else {}),
        "config": dict(config),
        "rootfs": {
            "type": "layers",
            "diff_ids": [*(rootfs.get("diff_ids") or ()), *([layer.diff_id] if layer is not None else ())],
        },
        "history": [*(base.get("history") or ()), entry],
    }


def keep_documents(
    content: ContentStore,
    base: Base,
    document: Mapping[str, Any],
    layer: BuildLayer | None,
    size_bytes: int,
    now_ns: int,
) -> ImageRecord:
    """Put config and manifest among the blobs; the image's row."""
    data = json.dumps(document, separators=(",", ":")).encode()
    layers, chain = list(base.layers), base.record.layers
    if layer is not None:
        layers.append({**layer.descriptor, "mediaType": OCI_LAYER if base.is_oci else DOCKER_LAYER})
        chain = (*chain, layer.chain_id)
    image_id = content.put(data)
    manifest_digest = content.put(make_manifest(data, layers, oci=base.is_oci))
    return ImageRecord(
        image_id, "", chain, dict(document), base.record.platform, manifest_digest, now_ns, now_ns,
        base.record.size_bytes + size_bytes,
    )  # fmt: skip
