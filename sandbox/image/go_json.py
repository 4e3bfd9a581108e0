"""JSON of images as the Go programs read it that wrote most of it: null is the zero value of its place, at every depth,
and a member that is known there is found whatever the case of its letters; of several the last one counts.

Go writes a list or an object that was never filled as null, and reads null as if nothing had been said (encoding/json,
Unmarshal). What the zero value is depends on the place: an entry of `Labels` is a text, one of `Volumes` an object.
"""

from __future__ import annotations

import json
from typing import Any

#: the entries of the list in an archive's manifest.json
ARCHIVE = "manifest.json"
#: members that are lists: null is an empty one, where a missing member would be an error
_LISTS = frozenset({"layers", "Layers", "manifests", "diff_ids", "history"})
#: objects whose keys are names of the writer's own, by their name: what null is as an entry of theirs. Any other
#: object has members that are known, and null is a member that is not there
_ENTRIES: dict[str, object] = {"Labels": "", "annotations": "", "Volumes": {}, "ExposedPorts": {}}
#: lists whose entries are objects, "" for the document itself; those of any other are texts
_LISTS_OF_OBJECTS = frozenset({"layers", "manifests", "history", ""})


_DESCRIPTOR = ("mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform")
_PLATFORM = ("architecture", "os", "variant", "os.version", "os.features")
#: the members that are known, by the name of their object or list; "" for the document itself
_KNOWN: dict[str, dict[str, str]] = {
    place: {name.lower(): name for name in names}
    for place, names in {
        "": (
            *_PLATFORM, "schemaVersion", "mediaType", "config", "layers", "manifests", "annotations", "subject",
            "artifactType", "created", "author", "rootfs", "history", "fsLayers",
        ),
        "config": (
            *_DESCRIPTOR, "User", "Env", "Cmd", "Entrypoint", "WorkingDir", "Labels", "Volumes", "ExposedPorts",
            "StopSignal", "StopTimeout", "OnBuild", "Shell", "Healthcheck",
        ),
        "layers": _DESCRIPTOR, "manifests": _DESCRIPTOR, "subject": _DESCRIPTOR, "platform": _PLATFORM,
        "rootfs": ("type", "diff_ids"),
        "history": ("created", "created_by", "author", "comment", "empty_layer"),
        "Healthcheck": ("Test", "Interval", "Timeout", "StartPeriod", "StartInterval", "Retries"),
        #: each image of manifest.json
        ARCHIVE: ("Config", "RepoTags", "Layers"),
    }.items()
}  # fmt: skip


def load_document(data: bytes, place: str = "") -> Any:  # Any: JSON
    """The document in `data`, known members by their usual names, with no null in it but where it is one as a whole.
    `place` says what it is where it is no image's own document. Raises ValueError, RecursionError.
    """
    document = with_known_names(json.loads(data), place)
    return without_nulls(document) if b"null" in data else document


def with_known_names(value: Any, place: str = "") -> Any:  # Any: JSON
    """`value`, the member `place` of its object, with the members that are known there by their usual names."""
    if isinstance(value, list):
        return [with_known_names(item, place) for item in value]
    known = _KNOWN.get(place)
    if known is None or not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, item in value.items():
        name = known.get(str(key).lower()) or str(key)
        found[name] = with_known_names(item, name)
    return found


def without_nulls(value: Any, name: str = "") -> Any:  # Any: JSON
    """`value`, the member `name` of its object, with the zero value of its place for each null in it."""
    if isinstance(value, dict):
        zero = _ENTRIES.get(name)
        return {
            key: item
            for key, found in value.items()
            if (item := _or_zero(found, key if zero is None else "", zero)) is not None
        }
    if isinstance(value, list):
        zero = {} if name in _LISTS_OF_OBJECTS else ""
        return [_or_zero(item, "", zero) for item in value]
    return value


def _or_zero(value: Any, name: str, zero: object) -> Any:  # Any: JSON
    if value is not None:
        return without_nulls(value, name)
    return [] if zero is None and name in _LISTS else zero
