"""The functions a template may call: Go's own and Docker's."""

from __future__ import annotations

from sandbox.go_template.errors import TemplateError
from sandbox.go_template.kinds import untyped
from sandbox.go_template.printing import NO_VALUE, go_type, sprint, sprintf, sprintln

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_MOST_PADDING = 1_000_000


# Any throughout: template data is JSON of any shape
def _fail(name: str, why: str) -> TemplateError:
    return TemplateError(f"template: error calling {name}: {why}")


def is_true(value: Any) -> bool:
    """Go's truth: not false, not zero, not empty, not nil."""
    return bool(value)


def _index(collection: Any, *keys: Any) -> Any:
    for key in keys:
        if collection is None or collection is NO_VALUE:
            raise _fail("index", "index of untyped nil")
        if isinstance(collection, dict):
            collection = _map_value(collection, key)
        elif isinstance(collection, list | tuple | str):
            place = _place("index", key)
            if not 0 <= place < len(collection):
                raise _fail("index", f"index out of range: {place}")
            # Go indexes a string by bytes
            collection = _bytes(collection)[place] if isinstance(collection, str) else collection[place]
        else:
            raise _fail("index", f"can't index item of type {go_type(collection)}")
    return collection


def _map_value(collection: dict[str, Any], key: Any) -> Any:
    if not isinstance(key, str):
        raise _fail("index", f"value has type {go_type(key)}; should be string")
    if key in collection:
        return collection[key]
    # the zero value: a map of texts, such as labels, answers with an empty one
    return "" if all(isinstance(value, str) for value in collection.values()) else NO_VALUE


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")


def _place(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _fail(name, f"cannot index slice/array with type {go_type(value)}")
    return value


def _slice(value: Any, *places: Any) -> Any:
    if not isinstance(value, str | list | tuple):
        raise _fail("slice", f"can't slice item of type {go_type(value)}")
    if len(places) > 3 or (isinstance(value, str) and len(places) > 2):
        raise _fail("slice", f"too many slice indexes: {len(places)}")
    whole = _bytes(value) if isinstance(value, str) else value
    bounds = [_place("slice", place) for place in places]
    start = bounds[0] if bounds else 0
    end = bounds[1] if len(bounds) > 1 else len(whole)
    if not 0 <= start <= end <= len(whole):
        raise _fail("slice", f"index out of range: {end if end > len(whole) else start}")
    part = whole[start:end]
    return part.decode(errors="replace") if isinstance(part, bytes) else part


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(_bytes(value))
    if isinstance(value, dict | list | tuple):
        return len(value)
    raise _fail("len", f"len of type {go_type(value)}")


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else go_type(value)


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise _fail("eq", "missing argument for comparison")
    for other in others:
        if first is None or other is None or first is NO_VALUE or other is NO_VALUE:
            if (first is None or first is NO_VALUE) and (other is None or other is NO_VALUE):
                return True
            continue
        if _kind(first) != _kind(other) or isinstance(first, dict | list | tuple):
            raise _fail("eq", "incompatible types for comparison")
        if first == other:
            return True
    return False


def _less(name: str, first: Any, second: Any) -> bool:
    if _kind(first) != _kind(second) or _kind(first) not in ("number", "string"):
        raise _fail(name, "incompatible types for comparison")
    return bool(first < second)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _fail(name, f"wrong type for value; expected string; got {go_type(value)}")
    return value


def _json(value: Any) -> str:
    import json

    def plain(item: Any) -> None:
        return None

    value = None if value is NO_VALUE else untyped(value)
    if isinstance(value, dict):
        value = {k: v for k, v in value.items() if not callable(v)}
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=plain)


def _join(values: Any, separator: Any) -> str:
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise _fail("join", f"wrong type for value; expected []string; got {go_type(values)}")
    return _text("join", separator).join(values)


def _title(value: Any) -> str:
    text = _text("title", value)
    # each letter with the one before it
    pairs = zip(f" {text}", text, strict=False)
    return "".join(c.upper() if not (before.isalnum() or before in "_'") else c for before, c in pairs)


def _pad(value: Any, before: Any, after: Any) -> str:
    text = _text("pad", value)
    counts = [_place("pad", before), _place("pad", after)]
    if not text:
        return text
    if not all(0 <= count <= _MOST_PADDING for count in counts):
        raise _fail("pad", f"the number of spaces must be from 0 to {_MOST_PADDING}")
    return " " * counts[0] + text + " " * counts[1]


def _truncate(value: Any, length: Any) -> str:
    return _text("truncate", value)[: max(0, _place("truncate", length))]


def _printf(form: Any, *values: Any) -> str:
    return sprintf(_text("printf", form), values)


def _html(*values: Any) -> str:
    table = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"}
    return "".join(table.get(c, c) for c in sprint(values))


def _url_query(*values: Any) -> str:
    kept = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~"
    return "".join(chr(b) if b in kept else "+" if b == 32 else f"%{b:02X}" for b in _bytes(sprint(values)))


#: `and` and `or` are here for their names; they are evaluated word by word, and stop early
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "and": lambda first, *rest: next((v for v in (first, *rest) if not is_true(v)), (first, *rest)[-1]),
    "or": lambda first, *rest: next((v for v in (first, *rest) if is_true(v)), (first, *rest)[-1]),
    "not": lambda value: not is_true(value),
    "len": _length,
    "index": _index,
    "slice": _slice,
    "eq": _equal,
    "ne": lambda first, second: not _equal(first, second),
    "lt": lambda first, second: _less("lt", first, second),
    "le": lambda first, second: not _less("le", second, first),
    "gt": lambda first, second: _less("gt", second, first),
    "ge": lambda first, second: not _less("ge", first, second),
    "print": lambda *values: sprint(values),
    "println": lambda *values: sprintln(values),
    "printf": _printf,
    "html": _html,
    "urlquery": _url_query,
    "json": _json,
    "split": lambda value, separator: _split(_text("split", value), _text("split", separator)),
    "join": _join,
    "title": _title,
    "lower": lambda value: _text("lower", value).lower(),
    "upper": lambda value: _text("upper", value).upper(),
    "pad": _pad,
    "padright": lambda value, width: _text("padright", value).ljust(min(_place("padright", width), _MOST_PADDING)),
    "truncate": _truncate,
}


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)
