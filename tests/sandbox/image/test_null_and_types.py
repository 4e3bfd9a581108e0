"""Documents written by Go programs: null at each place, and each place with what does not belong there."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from sandbox.container.request.image_defaults import read_image_defaults
from sandbox.errors import ImageError
from sandbox.image.documents import config_document, decode_config, decode_manifest
from sandbox.image.go_json import load_document
from sandbox.image.media_types import (
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER_GZIP,
    OCI_MANIFEST,
)
from sandbox.image.platforms import host_platform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DIGEST = "sha256:" + "a" * 64
Path = tuple[str | int, ...]

CONFIG: dict[str, Any] = {
    "architecture": "amd64", "os": "linux", "variant": "v2", "created": "2024-01-01T00:00:00Z", "author": "me",
    "config": {
        "User": "1000", "Env": ["PATH=/bin", "NOTHING"], "Cmd": ["a", "b"], "Entrypoint": ["c", "d"],
        "WorkingDir": "/w", "Labels": {"k": "v"}, "Volumes": {"/v": {}}, "ExposedPorts": {"80/tcp": {}},
        "StopSignal": "SIGINT", "StopTimeout": 3, "OnBuild": ["RUN true"], "Shell": ["/bin/sh", "-c"],
        "Healthcheck": {
            "Test": ["CMD", "true"], "Interval": 1, "Timeout": 2, "StartPeriod": 3, "StartInterval": 4, "Retries": 5,
        },
    },
    "rootfs": {"type": "layers", "diff_ids": [DIGEST]},
    "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "x", "author": "y", "comment": "z",
                 "empty_layer": False}],
}  # fmt: skip
MANIFEST: dict[str, Any] = {
    "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "a/b", "annotations": {"k": "v"},
    "config": {"mediaType": OCI_CONFIG, "size": 2, "digest": DIGEST, "annotations": {"k": "v"}, "data": "e30=",
               "artifactType": "a/b"},
    "layers": [{"mediaType": OCI_LAYER_GZIP, "size": 2, "digest": DIGEST, "urls": ["http://x/y"]}],
    "subject": {"mediaType": OCI_MANIFEST, "size": 2, "digest": DIGEST},
}  # fmt: skip
INDEX: dict[str, Any] = {
    "schemaVersion": 2, "mediaType": OCI_INDEX, "artifactType": "a/b", "annotations": {"k": "v"},
    "manifests": [{"mediaType": OCI_MANIFEST, "size": 2, "digest": DIGEST, "annotations": {"k": "v"},
                   "platform": {"architecture": "arm", "os": "linux", "variant": "v7", "os.version": "1",
                                "os.features": ["x"]}}],
    "subject": {"mediaType": OCI_MANIFEST, "size": 2, "digest": DIGEST},
}  # fmt: skip
READERS: dict[str, tuple[dict[str, Any], Callable[[bytes], object]]] = {
    "config": (CONFIG, lambda data: decode_config(data, "test")),
    "manifest": (MANIFEST, lambda data: decode_manifest(data, "", "test")),
    "index": (INDEX, lambda data: decode_manifest(data, "", "test")),
}
#: what cannot be done without: its zero value is no valid one
NEEDED = {
    "config": {("rootfs",), ("rootfs", "diff_ids", 0)},
    "manifest": {
        ("schemaVersion",), ("config",), ("layers", 0), *(
            (*descriptor, member)
            for descriptor in (("config",), ("layers", 0), ("subject",))
            for member in ("mediaType", "size", "digest")
        ),
    },
    "index": {
        ("schemaVersion",), ("manifests", 0), *(
            (*descriptor, member)
            for descriptor in (("manifests", 0), ("subject",))
            for member in ("mediaType", "size", "digest")
        ),
    },
}  # fmt: skip


def _places(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of each value below `value`."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from _places(item, (*path, key))


def _value(document: Any, path: Path) -> Any:
    return _value(document[path[0]], path[1:]) if path else document


def _changed(document: Any, path: Path, value: object) -> Any:
    changed = copy.deepcopy(document)
    found = changed
    for key in path[:-1]:
        found = found[key]
    found[path[-1]] = value
    return changed


PLACES = [(kind, path) for kind, (document, _read) in READERS.items() for path in _places(document)]


@pytest.mark.parametrize(("kind", "path"), PLACES)
def test_null_is_the_zero_value(kind: str, path: Path) -> None:
    document, read = READERS[kind]
    data = json.dumps(_changed(document, path, None)).encode()
    if path in NEEDED[kind]:
        with pytest.raises(ImageError) as error:
            read(data)
        assert any(str(part) in str(error.value.cause) for part in (path[-1], path[-2:][0], "digest", "mediaType"))
        return
    read(data)
    assert "null" not in json.dumps(load_document(data))
    if kind == "config":
        shown = config_document(data, "test")
        assert None not in shown.get("config", {}).values()
        read_image_defaults(shown, "test")


@pytest.mark.parametrize(("kind", "path"), PLACES)
def test_another_type_is_an_error_that_names_the_field(kind: str, path: Path) -> None:
    document, read = READERS[kind]
    wrongs: tuple[object, ...] = (7.5, [[]], [7], 7 if path[-1] == "empty_layer" else True)
    if not isinstance(_value(document, path), dict):
        wrongs = (*wrongs, {"x": 7})
    for wrong in wrongs:
        with pytest.raises(ImageError) as error:
            read(json.dumps(_changed(document, path, wrong)).encode())
        names = [str(part) for part in path if isinstance(part, str) and part not in ("k", "/v", "80/tcp")]
        assert names[-1] in f"{error.value.message} {error.value.cause}"


def test_what_null_is_where() -> None:
    document = _changed(CONFIG, ("config", "Labels", "k"), None)
    document["config"] |= {"Volumes": {"/v": None}, "ExposedPorts": {"80/tcp": None}, "Env": [None], "Cmd": None}
    document["config"]["Healthcheck"]["Test"] = [None, "true"]
    document["history"] = [None]
    shown = config_document(json.dumps(document).encode(), "test")
    assert shown["config"]["Labels"] == {"k": ""}
    assert shown["config"]["Volumes"] == {"/v": {}}
    assert shown["config"]["ExposedPorts"] == {"80/tcp": {}}
    assert shown["config"]["Env"] == [""]
    assert shown["config"]["Healthcheck"]["Test"] == ["", "true"]
    assert shown["history"] == [{}]
    assert "Cmd" not in shown["config"]
    assert load_document(b'{"layers": null, "annotations": {"null": null}}') == {
        "layers": [],
        "annotations": {"null": ""},
    }


def test_a_platform_that_is_not_said_is_this_machines() -> None:
    document = {key: value for key, value in CONFIG.items() if key not in ("architecture", "os", "variant")}
    for data in (document, {**document, "architecture": None, "os": ""}):
        shown = config_document(json.dumps(data).encode(), "test")
        assert (shown["os"], shown["architecture"]) == ("linux", host_platform().architecture)


@pytest.mark.parametrize("name", ["Cmd", "Entrypoint", "Shell"])
def test_a_single_text_is_a_list_of_one(name: str) -> None:
    data = json.dumps(_changed(CONFIG, ("config", name), "/bin/thing --all")).encode()
    decode_config(data, "test")
    assert config_document(data, "test")["config"][name] == ["/bin/thing --all"]


def test_an_entrypoint_of_nothing_is_none() -> None:
    shown = config_document(json.dumps(_changed(CONFIG, ("config", "Entrypoint"), [""])).encode(), "test")
    assert shown["config"]["Entrypoint"] == [""]
    defaults = read_image_defaults(shown, "test")
    assert (defaults.entrypoint, defaults.command) == ((), ("a", "b"))


def test_manifests_of_null_do_not_make_a_manifest_an_index() -> None:
    decode_manifest(json.dumps({**MANIFEST, "manifests": None, "fsLayers": None}).encode(), "", "test")
    with pytest.raises(ImageError, match="both"):
        decode_manifest(json.dumps({**MANIFEST, "manifests": []}).encode(), "", "test")
