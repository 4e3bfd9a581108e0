"""OCI artifacts: small documents of another kind than images, kept in a registry under a name and a tag.

A manifest with `artifactType` names them (OCI 1.1); a registry that knows no such thing gets the type as that of its
empty configuration (OCI 1.0).
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple

from sandbox.errors import AuthenticationError, ImageError, RegistryError, UsageError
from sandbox.image.documents import Index, Manifest
from sandbox.image.manifests.remote import Place, decoded, fetch_blob, fetch_document
from sandbox.image.media_types import OCI_MANIFEST
from sandbox.image.references import DEFAULT_TAG, parse_reference
from storage.digests import digest_of

if TYPE_CHECKING:
    from sandbox.image.documents import Descriptor
    from sandbox.image.references import Reference
    from sandbox.image.registry.reading import RegistryClient
    from sandbox.image.registry.writing import RegistryWriter
    from sandbox.operation_context import OperationContext

_EMPTY = b"{}"
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


class Layer(NamedTuple):
    """One document of an artifact."""

    media_type: str
    data: bytes
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def descriptor(self) -> dict[str, object]:
        return {
            "mediaType": self.media_type, "digest": digest_of(self.data), "size": len(self.data),
            "annotations": dict(self.annotations),
        }  # fmt: skip


class Kind(NamedTuple):
    """What an artifact is, by OCI 1.1 and by 1.0."""

    artifact_type: str
    config_type: str


class Artifact(NamedTuple):
    """What a registry has; `digest` is that of its manifest."""

    digest: str
    layers: tuple[Layer, ...]


def manifest_of(kind: Kind, layers: tuple[Layer, ...], annotations: dict[str, str], version: str) -> bytes:
    """The manifest of an artifact, for OCI's `version`. Raises UsageError for one that there is not."""
    if version not in ("1.0", "1.1"):
        raise UsageError(f"unsupported OCI version: {version}", mend="--oci-version 1.1")
    is_new = version == "1.1"
    config = {
        "mediaType": _EMPTY_TYPE if is_new else kind.config_type, "digest": digest_of(_EMPTY), "size": len(_EMPTY)
    }  # fmt: skip
    document: dict[str, object] = {"schemaVersion": 2, "mediaType": OCI_MANIFEST}
    if is_new:
        document["artifactType"] = kind.artifact_type
    document |= {"config": config, "layers": [layer.descriptor for layer in layers], "annotations": annotations}
    return json.dumps(document, separators=(",", ":")).encode()


def push_artifact(
    context: OperationContext,
    name: str,
    kind: Kind,
    layers: tuple[Layer, ...],
    annotations: dict[str, str],
    *,
    version: str = "",
    insecure: bool = False,
) -> str:
    """Bring the artifact to its registry; the digest of its manifest. Without a `version` of OCI it is 1.1, and 1.0
    where the registry refuses that. Raises UsageError, RegistryError, AuthenticationError.
    """
    reference = _tagged(name)
    manifests = [manifest_of(kind, layers, annotations, each) for each in ([version] if version else ["1.1", "1.0"])]

    async def talk(writer: RegistryWriter) -> str:
        for data in dict.fromkeys((_EMPTY, *(layer.data for layer in layers))):
            await _push(writer, data)
        for position, manifest in enumerate(manifests):
            digest = digest_of(manifest)
            try:
                await writer.put_manifest(reference.tag, manifest, OCI_MANIFEST, digest)
            except AuthenticationError:
                raise
            except RegistryError:
                if position == len(manifests) - 1:
                    raise
            else:
                return digest
        raise AssertionError("the last manifest is pushed, or refused")

    return Place(context, reference, insecure=insecure).give(talk)


async def _push(writer: RegistryWriter, data: bytes) -> None:
    from sandbox.image.registry.writing import Source

    digest = digest_of(data)
    if await writer.has_blob(digest):
        return
    fd = os.memfd_create("layer", os.MFD_CLOEXEC)
    try:
        os.write(fd, data)
        await writer.push_blob(Source(digest, len(data), fd))
    finally:
        os.close(fd)


def fetch_artifact(context: OperationContext, name: str, kind: Kind, *, insecure: bool = False) -> Artifact:
    """The artifact that a registry has under the name, all of it verified. Raises NotFoundError, AuthenticationError,
    RegistryError; ImageError for what is none of this kind.
    """

    async def talk(client: RegistryClient) -> Artifact:
        fetched = await fetch_document(client)
        document, digest = decoded(fetched, name), fetched.digest
        if isinstance(document, Index):
            digest = _artifact_in(document, kind, name)
            document = decoded(await client.get_manifest(digest), name)
        if not isinstance(document, Manifest) or not _is_of(document, kind):
            what = document.artifact_type or "an image"
            raise ImageError(f"{name} is not a compose project OCI artifact, but {what}")
        layers = [await _layer(client, each, name) for each in document.layers]
        return Artifact(digest, tuple(layers))

    return Place(context, _tagged(name), insecure=insecure).ask(talk)


def _tagged(name: str) -> Reference:
    reference = parse_reference(name)
    return reference if reference.tag or reference.digest else reference._replace(tag=DEFAULT_TAG)


def _artifact_in(index: Index, kind: Kind, name: str) -> str:
    for each in index.manifests:
        if each.artifact_type == kind.artifact_type:
            return each.digest
    raise ImageError(f"OCI index {name} doesn't refer to compose artifacts")


def _is_of(document: Manifest, kind: Kind) -> bool:
    if document.artifact_type:
        return document.artifact_type == kind.artifact_type
    return document.config.media_type == kind.config_type


async def _layer(client: RegistryClient, descriptor: Descriptor, name: str) -> Layer:
    data = await fetch_blob(client, descriptor, f"{name}: a layer")
    return Layer(descriptor.media_type, data, tuple(sorted((descriptor.annotations or {}).items())))
