"""The JSON form of arguments: `["a", "b"]`.

What is not JSON at all falls back to the shell form, as in Docker; JSON that holds more than text is an error.
"""

from __future__ import annotations

import json

from sandbox.dockerfile.source_text import SPACE


class NotTextError(Exception):
    """A JSON array with something in it that is not text. Caught by the parser, which knows the place."""


def read_json_form(text: str) -> tuple[str, ...] | None:
    """The texts of a JSON array, or None where `text` is not one. Raises NotTextError."""
    text = text.lstrip(SPACE)
    if not text.startswith("["):
        return None
    try:
        # numbers are left as they are: an int of a million digits takes minutes to read
        found = json.loads(text, parse_int=_number, parse_float=_number, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list):
        return None
    if not all(isinstance(item, str) for item in found):
        raise NotTextError
    return tuple(map(_whole, found) if "\\u" in text else found)


def _number(_text: str) -> None:
    return None


def _refuse(text: str) -> None:
    raise ValueError(text)


def _whole(item: str) -> str:
    """Half of a surrogate pair names no character: RFC 8259 §8.2; Go reads it as U+FFFD."""
    return "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in item)
