"""Members of images' documents are found whatever the case of their letters, as encoding/json finds them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.errors import ImageError
from sandbox.image.documents import Index, Manifest, config_document, decode_config, decode_manifest
from sandbox.image.go_json import ARCHIVE, load_document
from tests.sandbox.image.test_null_and_types import CONFIG, INDEX, MANIFEST

#: whose entries have keys of the writer's own
_MAPS = ("Labels", "annotations", "Volumes", "ExposedPorts")


def _shouted(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        keep = name in _MAPS
        return {key if keep else key.upper(): _shouted(item, key) for key, item in value.items()}
    return [_shouted(item, name) for item in value] if isinstance(value, list) else value


def test_a_config() -> None:
    shouted = json.dumps(_shouted(CONFIG)).encode()
    assert decode_config(shouted, "test") == decode_config(json.dumps(CONFIG).encode(), "test")
    assert config_document(shouted, "test") == CONFIG


@pytest.mark.parametrize(("document", "kind"), [(MANIFEST, Manifest), (INDEX, Index)])
def test_a_manifest_and_an_index(document: dict[str, Any], kind: type) -> None:
    shouted = json.dumps(_shouted(document)).encode()
    found = decode_manifest(shouted, "", "test")
    assert isinstance(found, kind)
    assert found == decode_manifest(json.dumps(document).encode(), "", "test")
    assert load_document(shouted) == document


def test_the_last_one_counts() -> None:
    twice = json.dumps({**CONFIG, "Architecture": "s390x"}).encode()
    assert decode_config(twice, "test").architecture == "s390x"


def test_no_case_hides_that_a_document_is_both() -> None:
    both = json.dumps({**INDEX, "Layers": []}).encode()
    with pytest.raises(ImageError, match="both an index and a manifest"):
        decode_manifest(both, "", "test")


def test_keys_of_others_stay() -> None:
    document = {**CONFIG, "config": {"Labels": {"User": "x", "USER": "y"}, "Hostname": "h"}, "Other": {"OS": 1}}
    assert load_document(json.dumps(document).encode()) == document


def test_an_archive_has_names_of_its_own() -> None:
    archive = json.dumps([{"config": "c.json", "REPOTAGS": ["a:1"], "layers": ["l.tar"]}]).encode()
    assert load_document(archive, ARCHIVE) == [{"Config": "c.json", "RepoTags": ["a:1"], "Layers": ["l.tar"]}]
