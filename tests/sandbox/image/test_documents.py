"""Image documents: the OCI schema tests, and documents that are two things at once."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from sandbox.errors import ImageError
from sandbox.image.documents import (
    MANIFEST_BYTES_MAX,
    Index,
    Manifest,
    check_image,
    decode_config,
    decode_manifest,
)
from sandbox.image.media_types import (
    DOCKER_MANIFEST,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)
from tests.sandbox.image.vectors import cases

FILE = "oci-schema.json"
DIGEST = "sha256:" + "a" * 64


def _judge(case: dict[str, Any], decode: Any) -> None:
    if case.get("fail"):
        with pytest.raises(ImageError):
            decode()
    else:
        decode()


@pytest.mark.parametrize("case", cases(FILE, "TestDescriptor"))
def test_descriptor(case: dict[str, Any]) -> None:
    _judge(case, lambda: decode_manifest(_manifest(config=json.loads(case["descriptor"])), OCI_MANIFEST, "test"))


@pytest.mark.parametrize("case", cases(FILE, "TestManifest"))
def test_manifest(case: dict[str, Any]) -> None:
    if '"layers": []' in case["manifest"]:
        # against the schema, and with Docker: what is built FROM scratch of metadata alone is an image
        case = {**case, "fail": False}
    _judge(case, lambda: decode_manifest(case["manifest"].encode(), OCI_MANIFEST, "test"))


@pytest.mark.parametrize("case", cases(FILE, "TestImageIndex"))
def test_index(case: dict[str, Any]) -> None:
    if case.get("fail") and '"architecture"' not in case["imageIndex"]:
        # against the schema, and with Docker: a platform that is not said is an entry that nobody asks for
        case = {**case, "fail": False}
    _judge(case, lambda: decode_manifest(case["imageIndex"].encode(), OCI_INDEX, "test"))


@pytest.mark.parametrize("case", cases(FILE, "TestConfig"))
def test_config(case: dict[str, Any]) -> None:
    if '"foo"\n' in case["config"]:
        # against the schema, and with Docker: a variable without "=" is valid, and sets nothing
        case = {**case, "fail": False}
    _judge(case, lambda: decode_config(case["config"].encode(), "test"))


@pytest.mark.requires("vectors")
@pytest.mark.parametrize("table", ["ImageIndex", "Manifest", "Config"])
def test_docker_documents_are_read_too(table: str) -> None:
    for case in cases(FILE, f"TestBackwardsCompatibility{table}"):
        data = (case.get("config") or case.get("manifest") or case["imageIndex"]).encode()
        assert "sha256:" + hashlib.sha256(data).hexdigest() == case["digest"]
        if table == "Config":
            assert decode_config(data, "test").diff_ids
        else:
            assert isinstance(decode_manifest(data, "", "test"), Manifest if table == "Manifest" else Index)


def _manifest(**members: Any) -> bytes:
    config = {"mediaType": OCI_CONFIG, "size": 2, "digest": DIGEST}
    layer = {"mediaType": OCI_LAYER_GZIP, "size": 2, "digest": DIGEST}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer], **members}
    return json.dumps({k: v for k, v in document.items() if v is not None}).encode()


@pytest.mark.parametrize(
    ("data", "sent_as"),
    [
        (_manifest(manifests=[]), OCI_MANIFEST),
        (_manifest(manifests=[], mediaType=None), ""),
        (_manifest(manifests=[], mediaType=None), OCI_INDEX),
        (_manifest(manifests=[], layers=None, mediaType=None), ""),
        (_manifest(), OCI_INDEX),
        (_manifest(), DOCKER_MANIFEST),
        (_manifest(mediaType=OCI_INDEX), OCI_INDEX),
        (_manifest(mediaType="application/json"), OCI_MANIFEST),
        (_manifest(schemaVersion=1), OCI_MANIFEST),
        (b'{"schemaVersion": 1, "fsLayers": []}', ""),
        (b"{}", ""),
        (b"[]", OCI_MANIFEST),
        (b"\xff", OCI_MANIFEST),
        (b"", OCI_MANIFEST),
        (b"[" * 200_000, OCI_MANIFEST),
        (_manifest(annotations={"x": "y" * MANIFEST_BYTES_MAX}), OCI_MANIFEST),
    ],
)
def test_confusion_is_refused(data: bytes, sent_as: str) -> None:
    with pytest.raises(ImageError):
        decode_manifest(data, sent_as, "test")


@pytest.mark.parametrize("sent_as", [OCI_MANIFEST, "", "application/json", "text/plain"])
def test_the_document_says_what_it_is(sent_as: str) -> None:
    manifest = decode_manifest(_manifest(), sent_as, "test")
    assert isinstance(manifest, Manifest)
    check_image(manifest, "test")


def test_an_artifact_is_not_an_image() -> None:
    config = {"mediaType": "application/vnd.cncf.helm.config.v1+json", "size": 2, "digest": DIGEST}
    manifest = decode_manifest(_manifest(config=config), OCI_MANIFEST, "test")
    assert isinstance(manifest, Manifest)
    with pytest.raises(ImageError, match="artifact"):
        check_image(manifest, "test")


@pytest.mark.parametrize("digest", ["sha512:" + "a" * 128, "sha256+b64:abcd", "multihash+base58:Qm"])
def test_only_sha256_names_a_blob(digest: str) -> None:
    config = {"mediaType": "a/b", "size": 1, "digest": digest}
    manifest = decode_manifest(_manifest(config=config), OCI_MANIFEST, "test")
    assert isinstance(manifest, Manifest)
    with pytest.raises(ImageError, match="algorithm"):
        manifest.config.blob  # noqa: B018  the property raises
