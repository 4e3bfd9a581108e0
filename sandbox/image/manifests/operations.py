"""What can be done with manifests, for whoever asks: values in, values out, as with images."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.errors import ImageError, NotFoundError, UsageError
from sandbox.image.documents import Index, Manifest, check_image
from sandbox.image.go_json import load_document
from sandbox.image.manifests.lists import (
    ListEntry,
    ManifestList,
    find_list,
    get_list,
    keep_list,
    remove_list,
    with_entries,
)
from sandbox.image.manifests.pushing import PushedIndex, push_index
from sandbox.image.manifests.remote import Place, decoded, fetch_config, fetch_document
from sandbox.image.media_types import OCI_MANIFEST
from sandbox.image.platforms import Platform, is_known
from sandbox.image.recording import content_store
from sandbox.image.references import parse_reference
from sandbox.image.store import digests_of, find_image
from sandbox.state import open_state
from storage.digests import digest_of, parse_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.image.documents import Descriptor
    from sandbox.image.references import Reference
    from sandbox.image.registry.reading import Fetched, RegistryClient
    from sandbox.operation_context import OperationContext

    Document = dict[str, Any]  # Any: JSON

_PLATFORM_KEYS = ("architecture", "os", "os.version", "os.features", "variant")


class Found(NamedTuple):
    """A manifest or an index: what it was asked for by, its bytes, media type and digest."""

    reference: Reference
    data: bytes
    media_type: str
    digest: str


class Annotation(NamedTuple):
    """What an index is to say of one of its images; "" leaves it as it is."""

    system: str = ""
    architecture: str = ""
    variant: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()


def inspect(context: OperationContext, name: str, list_name: str = "", *, insecure: bool = False) -> Found:
    """The document of a name: an index that is put together here, else what the registry has; with `list_name` the
    manifest that it was added to that index with. Raises NotFoundError, RegistryError, AuthenticationError.
    """
    reference = _named(name)
    if list_name:
        for entry in get_list(context.paths, _named(list_name)).entries:
            if entry.reference == str(reference):
                return _found(reference, entry.data.encode(), entry.descriptor["mediaType"])
        raise NotFoundError(f"No such manifest: {reference.familiar}", mend=f"sandbox manifest inspect {list_name}")
    local = find_list(context.paths, reference)
    if local is not None:
        document = local.document()
        return _found(reference, json.dumps(document, indent=3).encode(), document["mediaType"])
    fetched = Place(context, reference, insecure=insecure).ask(fetch_document)
    return Found(reference, fetched.data, _media_type(fetched), fetched.digest)


def raw(context: OperationContext, name: str) -> bytes:
    """The document of an image as its registry has it: the index, where it was pulled of one or is not here; else the
    manifest that is here. Raises as `inspect`.
    """
    with open_state(context.paths) as connection:
        record = find_image(connection, name)
        digests = [] if record is None else digests_of(connection, record.id)
    if record is None:
        return inspect(context, name).data
    if all(record.manifest_digest != known.digest for known in digests):
        for known in digests:
            return inspect(context, str(known)).data
    return content_store(context.paths).read(parse_digest(record.manifest_digest))


def inspect_verbose(context: OperationContext, name: str, list_name: str = "", *, insecure: bool = False) -> Any:
    """The same with each image's manifest and platform: an object for an image, a list of them for an index."""
    reference = _named(name)
    lists = [get_list(context.paths, _named(list_name))] if list_name else [find_list(context.paths, reference)]
    if lists[0] is not None:
        entries = [entry for entry in lists[0].entries if not list_name or entry.reference == str(reference)]
        found = [_verbose(entry.reference, entry.descriptor, entry.data.encode()) for entry in entries]
        return found[0] if list_name and found else found
    place = Place(context, reference, insecure=insecure)
    fetched, entries = place.ask(_read_entries)
    told = [_verbose(entry.reference, entry.descriptor, entry.data.encode()) for entry in entries]
    return told if isinstance(decoded(fetched, name), Index) else told[0]


def distributed(context: OperationContext, name: str) -> tuple[Found, list[Document]]:
    """What a registry, or a mirror before it, has under a name, and the platforms of it. Raises RegistryError,
    AuthenticationError, NotFoundError.
    """
    reference = _named(name)
    what = reference.familiar

    async def talk(client: RegistryClient) -> tuple[Found, list[Document]]:
        fetched = await fetch_document(client)
        found = Found(reference, fetched.data, _media_type(fetched), fetched.digest)
        document = decoded(fetched, what)
        if isinstance(document, Manifest):
            config = load_document(await fetch_config(client, document.config, what))
            return found, [{key: config[key] for key in _PLATFORM_KEYS if config.get(key)}]
        plain = load_document(fetched.data).get("manifests") or ()
        return found, [entry["platform"] for entry in plain if entry.get("platform")]

    return Place(context, reference, mirrors=True).ask(talk)


def configs(context: OperationContext, name: str) -> dict[str, Document]:
    """The configurations of what a registry has under a name: of an image by "", of an index by platform. Raises
    RegistryError, AuthenticationError, NotFoundError.
    """
    reference = _named(name)
    what = reference.familiar

    async def talk(client: RegistryClient) -> dict[str, Document]:
        document = decoded(await fetch_document(client), what)
        if isinstance(document, Manifest):
            return {"": load_document(await fetch_config(client, document.config, what))}
        found: dict[str, Document] = {}
        for item in document.manifests:
            platform = item.platform
            if platform is None or platform.os == "unknown":
                continue
            manifest = decoded(await client.get_manifest(item.blob), what)
            if isinstance(manifest, Manifest):
                shown = str(Platform(platform.os, platform.architecture, platform.variant))
                found[shown] = load_document(await fetch_config(client, manifest.config, what))
        return found

    return Place(context, reference).ask(talk)


def create(
    context: OperationContext, name: str, images: Sequence[str], *, amend: bool = False, insecure: bool = False
) -> str:
    """Begin an index of images in registries, or with `amend` add to it; its full name. Raises ConflictError where
    there is one, ImageError for what is an index itself.
    """
    reference = _named(name)
    known = find_list(context.paths, reference)
    begun = known or ManifestList(str(reference), ())
    with_entries(begun, (), amend=amend, exists=known is not None)
    added = []
    for image in images:
        source = _named(image)
        fetched, entries = Place(context, source, insecure=insecure).ask(_read_entries)
        if isinstance(decoded(fetched, image), Index):
            raise ImageError(f"{source.familiar} is a manifest list", mend="add its images: NAME@DIGEST")
        added.append(entries[0]._replace(reference=str(source)))
    made = with_entries(begun, added, amend=amend, exists=known is not None)
    keep_list(context.paths, made, reference)
    return made.name


def annotate(context: OperationContext, list_name: str, image: str, annotation: Annotation) -> None:
    """Say another platform of an image of an index. Raises NotFoundError, UsageError for what is no platform."""
    reference, source = _named(list_name), str(_named(image))
    known = get_list(context.paths, reference)
    entries = list(known.entries)
    for position, entry in enumerate(entries):
        if entry.reference == source:
            platform = {**entry.descriptor.get("platform", {}), **_said(annotation)}
            _check_platform(platform)
            entries[position] = entry._replace(descriptor={**entry.descriptor, "platform": platform})
            return keep_list(context.paths, known._replace(entries=tuple(entries)), reference)
    raise NotFoundError(
        f"manifest for image {image} does not exist in {list_name}", mend=f"sandbox manifest inspect {list_name}"
    )


def remove(context: OperationContext, name: str) -> None:
    """Forget an index that is put together here. Raises NotFoundError."""
    remove_list(context.paths, _named(name))


def push(context: OperationContext, name: str, *, purge: bool = False, insecure: bool = False) -> str:
    """Bring an index to its registry, the images of other repositories there with it; its digest. Raises RegistryError,
    UsageError for images of another registry.
    """
    reference = _named(name)
    made = get_list(context.paths, reference)
    document = made.document()
    data = json.dumps(document, indent=3).encode()
    push_index(context, reference, PushedIndex(made.entries, data, document["mediaType"]), insecure=insecure)
    if purge:
        remove_list(context.paths, reference)
    return digest_of(data)


def combine(context: OperationContext, names: Sequence[str], sources: Sequence[str], *, dry_run: bool = False) -> bytes:
    """An index of all images that `sources` name in registries, which `names` name afterwards there; with `dry_run`
    nobody does. Of one source that is an index it is that one. Raises RegistryError, and UsageError for what lies in
    another registry.
    """
    entries: list[ListEntry] = []
    index: PushedIndex | None = None
    for source in sources:
        fetched, found = Place(context, _named(source)).ask(_read_entries)
        entries += [entry for entry in found if entry.descriptor not in [known.descriptor for known in entries]]
        if len(sources) == 1 and isinstance(decoded(fetched, source), Index):
            index = PushedIndex(tuple(entries), fetched.data, _media_type(fetched))
    if index is None:
        document = ManifestList("", tuple(entries)).document()
        index = PushedIndex(tuple(entries), json.dumps(document, indent=2).encode(), document["mediaType"])
    for name in () if dry_run else names:
        push_index(context, _named(name), index)
    return index.data


async def _read_entries(client: RegistryClient) -> tuple[Fetched, list[ListEntry]]:
    """The document that was asked for, and the images it is or names, each with its platform."""
    fetched = await fetch_document(client)
    what = client.reference.familiar
    document = decoded(fetched, what)
    if isinstance(document, Manifest):
        return fetched, [await _entry(client, fetched, document, None)]
    entries = []
    for item in document.manifests:
        inner = await client.get_manifest(item.blob)
        manifest = decoded(inner, what)
        if isinstance(manifest, Index):
            raise ImageError(f"{what}: an index inside an index")
        entries.append(await _entry(client, inner, manifest, item))
    return fetched, entries


async def _entry(client: RegistryClient, fetched: Fetched, manifest: Manifest, item: Descriptor | None) -> ListEntry:
    descriptor: Document = {
        "mediaType": _media_type(fetched), "size": len(fetched.data), "digest": fetched.digest
    }  # fmt: skip
    if item is not None:
        platform = item.platform
        said = {} if platform is None else {
            "architecture": platform.architecture, "os": platform.os, "os.version": platform.os_version,
            "os.features": list(platform.os_features), "variant": platform.variant,
        }  # fmt: skip
    else:
        check_image(manifest, client.reference.familiar)
        said = load_document(await fetch_config(client, manifest.config, client.reference.familiar))
    if item is not None and item.annotations:
        descriptor["annotations"] = item.annotations
    descriptor["platform"] = {key: said[key] for key in _PLATFORM_KEYS if said.get(key)}
    reference = client.reference._replace(digest=fetched.digest) if item is not None else client.reference
    return ListEntry(str(reference), descriptor, fetched.data.decode())


def _verbose(reference: str, descriptor: Document, data: bytes) -> Document:
    kind = "OCIManifest" if descriptor["mediaType"] == OCI_MANIFEST else "SchemaV2Manifest"
    return {
        "Ref": reference,
        "Descriptor": descriptor,
        "Raw": base64.b64encode(data).decode(),
        kind: json.loads(data),
    }


def _found(reference: Reference, data: bytes, media_type: str) -> Found:
    return Found(reference, data, media_type, digest_of(data))


def _media_type(fetched: Fetched) -> str:
    """What the document says of itself, which was held against what it was sent as."""
    return str(json.loads(fetched.data).get("mediaType") or fetched.media_type)


def _said(annotation: Annotation) -> Document:
    values: Document = {
        "os": annotation.system, "architecture": annotation.architecture, "variant": annotation.variant,
        "os.version": annotation.os_version, "os.features": list(annotation.os_features),
    }  # fmt: skip
    return {key: value for key, value in values.items() if value}


def _check_platform(platform: Document) -> None:
    asked = Platform(platform.get("os", ""), platform.get("architecture", ""), platform.get("variant", ""))
    if not is_known(asked):
        raise UsageError(
            f"manifest entry for image has unsupported os/arch combination: {asked.os}/{asked.architecture}"
        )


def _named(text: str) -> Reference:
    reference = parse_reference(text)
    return reference if reference.tag or reference.digest else reference._replace(tag="latest")
