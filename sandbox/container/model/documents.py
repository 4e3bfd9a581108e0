"""Records as JSON: a NamedTuple becomes an object of the fields that differ from their defaults, and back.

A database outlives the program that wrote it. So a field that is missing takes its default, one that is not known
(written by a newer program) is passed over, and adding a field with a default needs no migration.
"""

from __future__ import annotations

import json

import sandbox.values as values
from sandbox.container.model import record
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    Record = TypeVar("Record", bound=tuple[Any, ...])


_CLASSES: dict[str, Any] = {
    name: value
    for module in (values, record)
    for name, value in vars(module).items()
    if isinstance(value, type) and hasattr(value, "_fields")
}


def to_plain(value: Any) -> Any:  # Any: JSON has no narrower type
    """`value` as JSON-plain data: lists, objects, texts, numbers."""
    if isinstance(value, tuple):
        fields = getattr(value, "_fields", None)
        if fields is None:
            return [to_plain(item) for item in value]
        defaults = getattr(type(value), "_field_defaults", {})
        return {
            name: to_plain(item)
            for name, item in zip(fields, value, strict=True)
            if name not in defaults or item != defaults[name]
        }
    return value


def from_plain(kind: type[Record], plain: dict[str, Any]) -> Record:
    """The `kind` that `to_plain` made `plain` of. Raises TypeError where a field without a default is missing."""
    shape = _shape_of(kind)
    values = list(shape.defaults)
    for name, item in plain.items():
        position = shape.positions.get(name)
        if position is not None:
            values[position] = _revive(shape.nested.get(name), item) if isinstance(item, list | dict) else item
    if _MISSING in values:
        raise TypeError(f"{kind.__name__} without {[n for n, i in shape.positions.items() if values[i] is _MISSING]}")
    return kind(*values)


def to_json(value: tuple[Any, ...]) -> str:
    return json.dumps(to_plain(value), separators=(",", ":"))


def from_json(kind: type[Record], text: str) -> Record:
    return from_plain(kind, json.loads(text))


def _revive(nested: Any, item: Any) -> Any:
    if isinstance(item, list):
        return tuple([_revive(nested, element) for element in item])
    if isinstance(item, dict):
        return from_plain(nested, item)
    return item


class _Shape(NamedTuple):
    """What there is to know of a kind, found out once: a listing revives hundreds of records of a few kinds."""

    positions: dict[str, int]
    #: a value for each field, _MISSING where it has to be given
    defaults: tuple[Any, ...]
    nested: dict[str, Any]


_MISSING = object()
_SHAPES: dict[type, _Shape] = {}


def _shape_of(kind: Any) -> _Shape:  # Any: every kind here is a NamedTuple, which has no type of its own
    shape = _SHAPES.get(kind)
    if shape is None:
        positions = {name: index for index, name in enumerate(kind._fields)}
        defaults = tuple(kind._field_defaults.get(name, _MISSING) for name in kind._fields)
        shape = _SHAPES[kind] = _Shape(positions, defaults, _nested_classes(kind))
    return shape


def _nested_classes(kind: type) -> dict[str, Any]:
    """Which fields of `kind` hold another record or a tuple of them.

    Annotations are texts here (or typing's wrapper of one); reading the name out of "tuple[Name, ...]" and
    "Name | None" spares the milliseconds of typing.get_type_hints.
    """
    known: dict[str, Any] = {}
    for name, annotation in kind.__annotations__.items():
        text = annotation if isinstance(annotation, str) else getattr(annotation, "__forward_arg__", "")
        inner = text.removesuffix(" | None").removeprefix("tuple[").removesuffix(", ...]")
        if inner in _CLASSES:
            known[name] = _CLASSES[inner]
    return known
