"""JSON of images as the Go programs read it that wrote most of it: null is the zero value of its place, at every depth.

Go writes a list or an object that was never filled as null, and reads null as if nothing had been said (encoding/json,
Unmarshal). What the zero value is depends on the place: an entry of `Labels` is a text, one of `Volumes` an object.
"""

from __future__ import annotations

import json
from typing import Any

#: members that are lists: null is an empty one, where a missing member would be an error
_LISTS = frozenset({"layers", "Layers", "manifests", "diff_ids", "history"})
#: objects whose keys are names of the writer's own, by their name: what null is as an entry of theirs. Any other
#: object has members that are known, and null is a member that is not there
_ENTRIES: dict[str, object] = {"Labels": "", "annotations": "", "Volumes": {}, "ExposedPorts": {}}
#: lists whose entries are objects, "" for the document itself; those of any other are texts
_LISTS_OF_OBJECTS = frozenset({"layers", "manifests", "history", ""})


def load_document(data: bytes) -> Any:  # Any: JSON
    """The document in `data`, with no null in it but where it is one as a whole. Raises ValueError, RecursionError."""
    document = json.loads(data)
    return without_nulls(document) if b"null" in data else document


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
