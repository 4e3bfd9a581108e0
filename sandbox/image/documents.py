"""The JSON documents of images, OCI and Docker: decoded into values, strictly, before anything is believed of them.

A manifest lists a config and layers, an index lists manifests; each says what it is by its media type. CVE-2021-41190
is one document read as either, depending on who looks: here the media type the registry sent, the one in the document
and the members it has must agree, or the document is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from sandbox.errors import ImageError
from sandbox.image.go_json import load_document, with_known_names, without_nulls
from sandbox.image.media_types import (
    DOCKER_CONFIG,
    DOCKER_INDEX,
    DOCKER_LAYER,
    DOCKER_LAYER_GZIP,
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_LAYER_GZIP,
    OCI_LAYER_ZSTD,
    OCI_MANIFEST,
)
from sandbox.image.platforms import host_platform
from storage.digests import Digest, parse_digest
from storage.errors import StorageError

INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
SCHEMA_1_TYPES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
#: Docker's Windows layers and OCI's nondistributable ones: fetched from URLs, which we do not follow
FOREIGN_LAYER_TYPES = frozenset(
    {
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.foreign.diff.tar",
    }
)
LAYER_TYPES = frozenset(
    {
        OCI_LAYER,
        OCI_LAYER_GZIP,
        OCI_LAYER_ZSTD,
        DOCKER_LAYER,
        DOCKER_LAYER_GZIP,
        "application/vnd.docker.image.rootfs.diff.tar.zstd",
        "application/vnd.oci.image.layer.nondistributable.v1.tar",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        *FOREIGN_LAYER_TYPES,
    }
)
#: old pushers named the config octet-stream; its content is checked all the same
CONFIG_TYPES = frozenset({OCI_CONFIG, DOCKER_CONFIG, "application/octet-stream"})

MANIFEST_BYTES_MAX = 4 << 20
CONFIG_BYTES_MAX = 8 << 20
#: more layers than overlayfs can stack are more than anybody can run
LAYERS_MAX = 500

# image-spec schema/defs-descriptor.json
_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
MediaType = Annotated[str, Meta(pattern=rf"^{_NAME}/{_NAME}(;[^\x00-\x1f]*)?\Z")]
#: sha256 must look like one; other algorithms are valid documents, and refused where a blob of theirs is wanted
DigestText = Annotated[
    str,
    Meta(
        pattern=r"^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}|(?!sha(?:256|512):)"
        r"[a-z0-9]+(?:[+._-][a-z0-9]+)*:[a-zA-Z0-9=_-]+)\Z"
    ),
]
Size = Annotated[int, Meta(ge=0, le=2**63 - 1)]
# a scheme and something after it (RFC 3986), or what null is
Url = Annotated[str, Meta(pattern=r"^([A-Za-z][A-Za-z0-9+.-]*:[^\s]+)?\Z")]
DiffId = Annotated[str, Meta(pattern=r"^sha256:[a-f0-9]{64}\Z")]


class PlatformDocument(msgspec.Struct, frozen=True):
    """The platform of an index entry."""

    architecture: str = ""
    os: str = ""
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")
    os_features: tuple[str, ...] = msgspec.field(default=(), name="os.features")


class Descriptor(msgspec.Struct, frozen=True, rename={"media_type": "mediaType", "artifact_type": "artifactType"},
                 omit_defaults=True):  # fmt: skip
    """A reference to a blob: what it is, how long, and under which digest."""

    media_type: MediaType
    digest: DigestText
    size: Size
    urls: tuple[Url, ...] = ()
    annotations: dict[str, str] | None = None
    #: base64 (bytes makes msgspec check it); never used instead of the blob
    data: bytes | None = None
    artifact_type: MediaType | None = None
    platform: PlatformDocument | None = None

    @property
    def blob(self) -> Digest:
        """The digest, of an algorithm we verify. Raises ImageError."""
        try:
            return parse_digest(self.digest)
        except StorageError as error:
            raise ImageError(f"unsupported digest algorithm: {self.digest[:80]}", cause=error.message) from error


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True,
               rename={"schema_version": "schemaVersion", "media_type": "mediaType",
                       "artifact_type": "artifactType"}):  # fmt: skip
    """One image for one platform."""

    schema_version: Annotated[int, Meta(ge=2, le=2)]
    config: Descriptor
    #: OCI's schema wants one at least; an image of metadata alone has none, and builders push it, registries keep it so
    layers: Annotated[tuple[Descriptor, ...], Meta(max_length=LAYERS_MAX)]
    media_type: MediaType | None = None
    artifact_type: MediaType | None = None
    annotations: dict[str, str] | None = None
    subject: Descriptor | None = None


class Index(msgspec.Struct, frozen=True, omit_defaults=True,
            rename={"schema_version": "schemaVersion", "media_type": "mediaType",
                    "artifact_type": "artifactType"}):  # fmt: skip
    """The same image for several platforms."""

    schema_version: Annotated[int, Meta(ge=2, le=2)]
    manifests: tuple[Descriptor, ...]
    media_type: MediaType | None = None
    artifact_type: MediaType | None = None
    annotations: dict[str, str] | None = None
    subject: Descriptor | None = None


class HealthTest(msgspec.Struct, frozen=True, rename="pascal"):
    """`Healthcheck` of a RuntimeConfig; times in nanoseconds."""

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


#: old configurations have a single text
Words = tuple[str, ...] | str


class RuntimeConfig(msgspec.Struct, frozen=True, rename="pascal"):
    """`config` of an image config: only what must be right before the document is kept."""

    user: str = ""
    #: an entry without "=" is valid, and sets nothing
    env: tuple[str, ...] = ()
    cmd: Words = ()
    entrypoint: Words = ()
    working_dir: str = ""
    labels: dict[str, str] = {}
    volumes: dict[str, dict[str, Any]] = {}
    exposed_ports: dict[str, dict[str, Any]] = {}
    stop_signal: str = ""
    #: seconds
    stop_timeout: int | None = None
    on_build: tuple[str, ...] = ()
    shell: Words = ()
    healthcheck: HealthTest | None = None


class RootFilesystem(msgspec.Struct, frozen=True):
    """The unpacked layers, lowest first."""

    type: Annotated[str, Meta(pattern=r"^layers\Z")] = "layers"
    diff_ids: tuple[DiffId, ...] = ()


class History(msgspec.Struct, frozen=True):
    """How one layer came to be."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True):
    """The config blob; its digest is the image's ID."""

    rootfs: RootFilesystem
    #: empty stands for this machine's own, as Docker has it
    architecture: str = ""
    os: str = ""
    variant: str = ""
    created: str = ""
    author: str = ""
    config: RuntimeConfig = RuntimeConfig()
    history: tuple[History, ...] = ()

    @property
    def diff_ids(self) -> tuple[Digest, ...]:
        return tuple(parse_digest(text) for text in self.rootfs.diff_ids)


class _Members(msgspec.Struct, frozen=True, rename={"schema_version": "schemaVersion", "media_type": "mediaType",
                                                    "fs_layers": "fsLayers"}):  # fmt: skip
    """Which members a document has, whatever is in them."""

    schema_version: int | None = None
    media_type: str | None = None
    manifests: Any = None
    layers: Any = None
    config: Any = None
    fs_layers: Any = None


_T = TypeVar("_T")


def decode_manifest(data: bytes, media_type: str, what: str) -> Manifest | Index:
    """The manifest or index in `data`, which was sent or described as `media_type` (empty: not said).

    `what` names it in the ImageError that every disagreement, missing member or wrong type raises.
    """
    if len(data) > MANIFEST_BYTES_MAX:
        raise ImageError(f"{what}: the manifest is larger than {MANIFEST_BYTES_MAX >> 20} MiB")
    members = _decode(data, _Members, what)
    declared = members.media_type
    if (declared or media_type) in SCHEMA_1_TYPES or members.schema_version == 1:
        raise ImageError(
            f"{what}: this is a schema 1 manifest, which is no longer supported",
            cause="its layers carry no digests that could be verified",
            mend="ask for the image to be pushed again by a current tool",
        )
    known = INDEX_TYPES | MANIFEST_TYPES
    if declared and media_type in known and declared != media_type:
        raise ImageError(f"{what}: the manifest says it is {declared} but was sent as {media_type}")
    has_manifests = members.manifests is not None
    has_image = members.layers is not None or members.config is not None
    if has_manifests and (has_image or members.fs_layers is not None):
        raise ImageError(f"{what}: the document is both an index and a manifest", cause="CVE-2021-41190")
    kind = declared or (media_type if media_type in known else "")
    if kind in INDEX_TYPES or (not kind and has_manifests):
        return _decode(data, Index, what)
    if kind in MANIFEST_TYPES or (not kind and has_image):
        return _decode(data, Manifest, what)
    raise ImageError(f"{what}: not an image manifest or index", cause=f"its media type is {kind or media_type!r}"[:200])


def decode_config(data: bytes, what: str) -> ImageConfig:
    """The image config in `data`, checked. Raises ImageError naming `what`."""
    if len(data) > CONFIG_BYTES_MAX:
        raise ImageError(f"{what}: the image config is larger than {CONFIG_BYTES_MAX >> 20} MiB")
    return _decode(data, ImageConfig, what)


def config_document(data: bytes, what: str) -> dict[str, Any]:
    """The config as plain JSON, all members kept: what the database and `inspect` show, and what a build begins with.

    What may be said in several ways is said in one: nulls are gone, single texts are lists, and a platform that was
    not named is this machine's. Raises ImageError.
    """
    try:
        document = load_document(data)
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{what}: not JSON", cause=str(error)) from error
    assert isinstance(document, dict)
    host = host_platform()
    document["architecture"] = document.get("architecture") or host.architecture
    document["os"] = document.get("os") or host.os
    runtime = document.get("config", {})
    for name in ("Cmd", "Entrypoint", "Shell"):
        if isinstance(runtime.get(name), str):
            runtime[name] = [runtime[name]]
    return document


def check_image(manifest: Manifest, what: str) -> None:
    """Refuse what has the form of a manifest and is no container image. Raises ImageError."""
    if manifest.config.media_type not in CONFIG_TYPES:
        raise ImageError(
            f"{what}: not a container image but an artifact", cause=f"its config is {manifest.config.media_type}"
        )
    for layer in manifest.layers:
        if layer.media_type not in LAYER_TYPES:
            raise ImageError(f"{what}: unsupported layer type {layer.media_type}", cause=f"layer {layer.digest}")


def _decode(data: bytes, kind: type[_T], what: str) -> _T:
    try:
        document = with_known_names(msgspec.json.decode(data))
        if kind is not _Members and b"null" in data:
            document = without_nulls(document)
        return msgspec.convert(document, type=kind)
    except (ValueError, RecursionError) as error:  # msgspec's, json's and those of the text's encoding
        raise ImageError(f"{what}: not a valid {_NAMES[kind]}", cause=str(error)) from error


_NAMES: dict[type[Any], str] = {
    _Members: "manifest",
    Manifest: "image manifest",
    Index: "image index",
    ImageConfig: "image config",
    Descriptor: "descriptor",
}
