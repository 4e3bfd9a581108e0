"""Parts of a JSON body by their kinds: what is of another kind is the client's mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Mapping

_WORDS: dict[type, str] = {str: "a text", int: "a number", bool: "true or false", list: "a list", dict: "an object"}


def value_of(document: Mapping[str, Any], name: str) -> Any:  # Any: JSON
    """The value of a key, None where there is none. The case of a key means nothing, as for Docker's engine: clients
    send `detachKeys`.
    """
    found = document.get(name)
    if found is None and name not in document:
        folded = name.lower()
        found = next((document[key] for key in document if key.lower() == folded), None)
    return found


def part(document: Mapping[str, Any], name: str, kind: type) -> Any:  # Any: of that kind
    """The value of a key; the empty one of its kind where it is absent or null. Raises ApiError."""
    value = value_of(document, name)
    if value is None:
        return kind()
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ApiError(400, f"invalid JSON: {name} is {_WORDS[kind]}, and not {type(value).__name__}")
    return value


def text(document: Mapping[str, Any], name: str) -> str:
    """A text; "" where there is none."""
    found: str = part(document, name, str)
    return found


def number(document: Mapping[str, Any], name: str) -> int:
    """A whole number; 0 where there is none."""
    found: int = part(document, name, int)
    return found


def fraction(document: Mapping[str, Any], name: str) -> float:
    """A number; 0 where there is none. Raises ApiError."""
    value = value_of(document, name) or 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ApiError(400, f"invalid JSON: {name} is a number, and not {type(value).__name__}")
    return float(value)


def flag(document: Mapping[str, Any], name: str) -> bool:
    """A truth value; false where there is none."""
    found: bool = part(document, name, bool)
    return found


def given_flag(document: Mapping[str, Any], name: str) -> bool | None:
    """A truth value; None where there is none."""
    return None if value_of(document, name) is None else flag(document, name)


def texts(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A list of texts; () where there is none. Raises ApiError."""
    found: list[Any] = part(document, name, list)
    if not all(isinstance(each, str) for each in found):
        raise ApiError(400, f"invalid JSON: {name} is a list of texts")
    return tuple(found)


def words(document: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A command: a list of texts, or a text that is one word."""
    value = value_of(document, name)
    return (value,) if isinstance(value, str) else texts(document, name)


def table(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object; {} where there is none."""
    found: dict[str, Any] = part(document, name, dict)
    return found


def pairs(document: Mapping[str, Any], name: str) -> tuple[tuple[str, str], ...]:
    """An object of texts as pairs."""
    found = table(document, name)
    return tuple((key, text(found, key)) for key in found)


def tables(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects. Raises ApiError."""
    found: list[Any] = part(document, name, list)
    if not all(isinstance(each, dict) for each in found):
        raise ApiError(400, f"invalid JSON: {name} is a list of objects")
    return found
