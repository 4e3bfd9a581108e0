"""Filters in a query, as Go's clients and Python's write them, in the form that operations take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator


def read_filters(text: str) -> tuple[str, ...]:
    """ "KEY=VALUE" for each value of {"label": {"a=b": true}} or {"label": ["a=b"]}. Raises ApiError."""
    if not text:
        return ()
    try:
        found = msgspec.json.decode(text.encode())
    except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
        raise ApiError(400, "invalid filter") from None
    if not isinstance(found, dict):
        raise ApiError(400, "invalid filter")
    return tuple(f"{key}={_text(value)}" for key, values in found.items() for value in _values(values))


def _values(values: Any) -> Iterator[Any]:
    if isinstance(values, dict):
        yield from (value for value, chosen in values.items() if chosen)
    elif isinstance(values, list):
        yield from values
    else:
        yield values


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int):
        raise ApiError(400, "invalid filter")
    return str(value)
