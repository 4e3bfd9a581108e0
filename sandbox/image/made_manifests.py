"""Manifests of images that are made here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from sandbox.image.media_types import (
    DOCKER_CONFIG,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
)
from storage.digests import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from storage.digests import Digest


def layer_descriptor(head: bytes, digest: Digest, size: int) -> dict[str, object]:
    """The descriptor of a layer whose first bytes are `head`."""
    if head.startswith(b"\x1f\x8b"):
        media_type = OCI_LAYER_GZIP
    elif head.startswith(b"\x28\xb5\x2f\xfd"):
        media_type = OCI_LAYER_ZSTD
    else:
        media_type = OCI_LAYER
    return {"mediaType": media_type, "digest": digest, "size": size}


def make_manifest(
    config_data: bytes,
    layers: Sequence[Mapping[str, object]],
    *,
    oci: bool = True,
    annotations: Mapping[str, str] | None = None,
) -> bytes:
    """A manifest for what came without one, in OCI's media types or in Docker's; those of `layers` are as they are."""
    config = {
        "mediaType": OCI_CONFIG if oci else DOCKER_CONFIG, "digest": digest_of(config_data), "size": len(config_data)
    }  # fmt: skip
    document: dict[str, object] = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST if oci else DOCKER_MANIFEST, "config": config,
        "layers": list(layers),
    }  # fmt: skip
    if annotations:
        document["annotations"] = dict(sorted(annotations.items()))
    return json.dumps(document, separators=(",", ":")).encode()
