"""Indexes on their way to a registry, with the images that they name."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.errors import ImageError, UsageError
from sandbox.image.go_json import load_document
from sandbox.image.manifests.remote import Place
from sandbox.image.references import parse_reference
from storage.digests import digest_of

if TYPE_CHECKING:
    from sandbox.image.manifests.lists import ListEntry
    from sandbox.image.references import Reference
    from sandbox.image.registry.writing import RegistryWriter
    from sandbox.operation_context import OperationContext


class PushedIndex(NamedTuple):
    """An index, the images that it names, and its bytes."""

    entries: tuple[ListEntry, ...]
    data: bytes
    media_type: str


def push_index(context: OperationContext, reference: Reference, index: PushedIndex, *, insecure: bool = False) -> None:
    """Let the reference name the index, its images of other repositories brought there first. Raises RegistryError, and
    UsageError for images of another registry, as Docker does: their layers would have to be carried over.
    """
    sources = {entry.reference: parse_reference(entry.reference) for entry in index.entries}
    for source in sources.values():
        if source.domain != reference.domain:
            raise UsageError(
                "cannot use source images from a different registry than the target image: "
                f"{source.domain} != {reference.domain}",
                mend=f"sandbox pull {source.familiar}, tag and push it to {reference.domain}",
            )

    async def talk(writer: RegistryWriter) -> None:
        for entry in index.entries:
            await _push_entry(writer, entry, sources[entry.reference])
        await writer.put_manifest(reference.tag or "latest", index.data, index.media_type, digest_of(index.data))

    paths = sorted({source.path for source in sources.values()} - {reference.path})
    Place(context, reference, insecure=insecure).give(talk, tuple(paths))


async def _push_entry(writer: RegistryWriter, entry: ListEntry, source: Reference) -> None:
    data, descriptor = entry.data.encode(), entry.descriptor
    if source.path != writer.reference.path:
        document = load_document(data)
        for blob in (document["config"], *document["layers"]):
            if not await writer.has_blob(blob["digest"]) and not await writer.mount_blob(blob["digest"], source.path):
                raise ImageError(
                    f"the registry does not mount blob {blob['digest'][:19]} from {source.familiar_repository}",
                    mend=f"sandbox pull {source.familiar}, tag and push it as {writer.reference.familiar_repository}",
                )
    await writer.put_manifest(descriptor["digest"], data, descriptor["mediaType"], descriptor["digest"])
