"""Image archives: `load` reads docker-archive and OCI layout, `save` writes one tar that is both.

    manifest.json   Docker: [{"Config": member, "RepoTags": […], "Layers": [member, …]}, …]
    repositories    Docker before 1.10: {"alpine": {"latest": layer}}
    oci-layout, index.json, blobs/sha256/…      the OCI image layout

What is loaded is verified as what is pulled: config against its name where it is one, layers against the config.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Protocol

import msgspec
from msgspec import Meta

from sandbox.errors import ImageError
from sandbox.image.archive.install import LocalImage, install_images
from sandbox.image.archive.layouts import LayoutDirectory
from sandbox.image.archive.spool import Spool
from sandbox.image.documents import (
    CONFIG_BYTES_MAX,
    LAYERS_MAX,
    MANIFEST_BYTES_MAX,
    Index,
    Manifest,
    check_image,
    decode_config,
    decode_manifest,
)
from sandbox.image.go_json import ARCHIVE, load_document
from sandbox.image.made_manifests import layer_descriptor, make_manifest
from sandbox.image.platforms import Platform, choose_platform
from sandbox.image.recording import content_store
from sandbox.image.references import Reference, parse_reference
from storage.digests import digest_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from sandbox.image.documents import Descriptor
    from sandbox.image.store import ImageRecord
    from sandbox.image.transfer.progress import Progress
    from sandbox.paths import Paths
    from storage.content import ContentStore
    from storage.digests import Digest

_REF_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"
_IMAGES_MAX = 1000


class _ArchiveImage(msgspec.Struct, frozen=True, rename="pascal"):
    """One entry of manifest.json."""

    config: str
    layers: Annotated[tuple[str, ...], Meta(max_length=LAYERS_MAX)] = ()
    repo_tags: tuple[str, ...] = ()


def load_archive(
    paths: Paths,
    stream: BinaryIO,
    what: str,
    platform: Platform,
    done: Callable[[tuple[Reference, ...], ImageRecord], None],
    progress: Progress,
) -> None:
    """Bring every image of the archive in `stream` here, telling `done` of each, and `progress` of layers and of what
    of one could not be had; `what` names the archive in errors.

    Raises ImageError; images loaded before the error stay.
    """
    with Spool(stream, f"{paths.data_root}/tmp", what) as spool:
        loader = _Loader(spool, content_store(paths), what, platform)
        install_images(paths, loader.collect, progress, lambda image, record: done(image.names, record))


def load_layout(paths: Paths, path: str, wanted: str, platform: Platform, progress: Progress) -> ImageRecord:
    """Bring one image of the OCI layout in the directory `path` here, untagged: the one of a tag or digest, or where
    `wanted` is empty its only one or "latest". `progress` as for `load_archive`. Raises ImageError.
    """
    what = f"the OCI layout {path}"
    with LayoutDirectory(path, what) as layout:
        loader = _Loader(layout, content_store(paths), what, platform)
        (record,) = install_images(paths, lambda: [loader.find(wanted)], progress)
    return record


class _Members(Protocol):
    """Files by name: those of an archive, or below a directory."""

    def has(self, name: str) -> bool: ...

    def read(self, name: str, limit: int) -> bytes: ...

    def size(self, name: str) -> int: ...

    def head(self, name: str, count: int) -> bytes: ...

    def digest(self, name: str) -> Digest: ...

    def store(self, name: str, digest: Digest, content: ContentStore) -> None: ...


class _Loader:
    """From members to images in the content store."""

    def __init__(self, spool: _Members, content: ContentStore, what: str, platform: Platform) -> None:
        self._spool = spool
        self._content = content
        self._what = what
        self._platform = platform

    def collect(self) -> list[LocalImage]:
        if self._spool.has("manifest.json"):
            return self._docker_images()
        if self._spool.has("index.json"):
            return self._oci_images()
        raise ImageError(
            f"{self._what} is no image archive",
            cause="it has neither manifest.json nor index.json",
            mend="a file system without an image's documents is read by: sandbox import",
        )

    # --- docker-archive

    def _docker_images(self) -> list[LocalImage]:
        data = self._spool.read("manifest.json", MANIFEST_BYTES_MAX)
        try:
            entries = msgspec.convert(load_document(data, ARCHIVE) or [], type=tuple[_ArchiveImage, ...])
        except (ValueError, RecursionError) as error:
            raise ImageError(f"{self._what}: manifest.json is not what it should be", cause=str(error)) from error
        if len(entries) > _IMAGES_MAX:
            raise ImageError(f"{self._what}: more than {_IMAGES_MAX} images")
        return [self._docker_image(entry) for entry in entries]

    def _docker_image(self, entry: _ArchiveImage) -> LocalImage:
        config_data = self._spool.read(entry.config, CONFIG_BYTES_MAX)
        config = decode_config(config_data, f"{self._what}: {entry.config[:100]}")
        named = entry.config.removesuffix(".json").rpartition("/")[2]
        if len(named) == 64 and f"sha256:{named}" != digest_of(config_data):
            raise ImageError(f"{self._what}: the config {entry.config} does not match its digest")
        members = entry.layers
        if len(members) != len(config.diff_ids):
            raise ImageError(f"{self._what}: {len(members)} layers listed, {len(config.diff_ids)} in the config")
        blobs, descriptors = [], []
        for member in members:
            digest = self._spool.digest(member)
            self._spool.store(member, digest, self._content)
            blobs.append(digest)
            descriptors.append(layer_descriptor(self._spool.head(member, 6), digest, self._spool.size(member)))
        names = tuple(parse_reference(tag) for tag in entry.repo_tags)
        return LocalImage(config, config_data, make_manifest(config_data, descriptors), tuple(blobs), names)

    # --- OCI layout

    def find(self, wanted: str) -> LocalImage:
        """The image of a tag or a digest. Raises ImageError."""
        entries = self._oci_index().manifests
        by_digest = [entry for entry in entries if entry.digest == wanted]
        by_tag = [entry for entry in entries if (wanted or "latest") in _tags(entry)]
        found = by_digest or by_tag or ([*entries] if not wanted and len(entries) == 1 else [])
        if not found:
            raise ImageError(
                f"{self._what} has no image {wanted or 'latest'!r}",
                cause=f"it has {', '.join(sorted({tag for entry in entries for tag in _tags(entry)})) or 'no tags'}",
                mend="oci-layout://PATH:TAG or oci-layout://PATH@DIGEST",
            )
        return self._oci_image(found[0])

    def _oci_images(self) -> list[LocalImage]:
        return [self._oci_image(entry) for entry in self._oci_index().manifests]

    def _oci_index(self) -> Index:
        document = decode_manifest(self._spool.read("index.json", MANIFEST_BYTES_MAX), "", f"{self._what}: index.json")
        if not isinstance(document, Index):
            raise ImageError(f"{self._what}: index.json is not an index")
        if len(document.manifests) > _IMAGES_MAX:
            raise ImageError(f"{self._what}: more than {_IMAGES_MAX} images")
        return document

    def _oci_image(self, entry: Descriptor, depth: int = 0) -> LocalImage:
        data = self._spool.read(_blob_name(entry.blob), MANIFEST_BYTES_MAX)
        if digest_of(data) != entry.blob or len(data) != entry.size:
            raise ImageError(f"{self._what}: the manifest {entry.digest} does not match its digest and size")
        document = decode_manifest(data, entry.media_type, f"{self._what}: {entry.digest}")
        if isinstance(document, Index):
            if depth:
                raise ImageError(f"{self._what}: an index inside an index")
            chosen = self._oci_image(self._choose(document, entry), depth + 1)
            return chosen._replace(names=_names(entry) or chosen.names)
        return self._oci_manifest(document, data, entry)

    def _oci_manifest(self, manifest: Manifest, data: bytes, entry: Descriptor) -> LocalImage:
        check_image(manifest, f"{self._what}: {entry.digest}")
        for descriptor in (manifest.config, *manifest.layers):
            name = _blob_name(descriptor.blob)
            if self._spool.has(name) or not self._content.has(descriptor.blob):
                if self._spool.size(name) != descriptor.size:
                    raise ImageError(f"{self._what}: blob {descriptor.digest} does not have its size")
                self._spool.store(name, descriptor.blob, self._content)
        config_data = self._content.read(manifest.config.blob, CONFIG_BYTES_MAX)
        config = decode_config(config_data, f"{self._what}: {manifest.config.digest}")
        return LocalImage(config, config_data, data, tuple(layer.blob for layer in manifest.layers), _names(entry))

    def _choose(self, index: Index, entry: Descriptor) -> Descriptor:
        offered = [item for item in index.manifests if item.platform and self._spool.has(_blob_name(item.blob))]
        platforms = [Platform(p.os, p.architecture, p.variant) for item in offered if (p := item.platform) is not None]
        position = choose_platform(self._platform, platforms)
        if position is None:
            raise ImageError(
                f"{self._what}: no image for {self._platform} in {entry.digest}",
                cause=f"it has {', '.join(map(str, platforms)) or 'none'}",
            )
        return offered[position]


def _blob_name(digest: Digest) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _tags(entry: Descriptor) -> list[str]:
    annotations = entry.annotations or {}
    named = (annotations.get(key, "") for key in (_CONTAINERD_NAME, _REF_NAME))
    return [name.rpartition(":")[2] for name in named if name]


def _names(entry: Descriptor) -> tuple[Reference, ...]:
    annotations = entry.annotations or {}
    for key in (_CONTAINERD_NAME, _REF_NAME):
        text = annotations.get(key, "")
        # a tag alone ("latest") names no repository
        if "/" in text or ":" in text:
            return (parse_reference(text),)
    return ()
