"""Documents out of the specification's JSON schema: of the form that it asks for, and a little beside it.

`compose-spec.json` is the Compose Specification's own, under the licence beside it (Apache 2.0).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator

SCHEMA: dict[str, Any] = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
_TEXTS = ("", "x", "1", "64m", "80", "10s", "/a", "a:b", "0.5", "true", "on-failure:3", "unless-stopped", "no")
_NUMBERS = (0, 1, -1, 80, 700)
_NAMES = ("a", "k", "x-a")
#: what belongs nowhere, or nearly
_WRONG: tuple[Any, ...] = (None, True, -1, 1.5, 7, "", "x", [], [None], ["a", "a"], {}, {"a": None}, [{}], {"a": 1})
_DEEPEST = 7


def resolved(node: Any) -> dict[str, Any]:
    """The node that a reference leads to."""
    while isinstance(node, dict) and "$ref" in node:
        found: Any = SCHEMA
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node if isinstance(node, dict) else {}


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A file with one service, of which a few keys are written, one of them perhaps with what does not belong there."""
    service = resolved(SCHEMA["properties"]["services"])["patternProperties"]["^[a-zA-Z0-9._-]+$"]
    top = {key: node for key, node in SCHEMA["properties"].items() if key not in ("services", "include", "name")}
    has_slip = draw(st.booleans())
    value: dict[str, Any] = {"services": {"a": {"image": "i", **_object(draw, resolved(service), has_slip, 0)}}}
    for key in draw(st.lists(st.sampled_from(sorted(top)), max_size=1)):
        value[key] = _value(draw, top[key], has_slip, 1)
    return value


def _value(draw: st.DrawFn, node: Any, has_slip: bool, depth: int) -> Any:
    if has_slip and draw(st.integers(0, 9)) == 0:
        return json.loads(json.dumps(draw(st.sampled_from(_WRONG))))
    node = resolved(node)
    for key in ("oneOf", "anyOf"):
        if key in node:
            return _value(draw, draw(st.sampled_from(node[key])), has_slip, depth)
    if "enum" in node or "const" in node:
        return draw(st.sampled_from(node.get("enum", [node.get("const")])))
    kinds = node.get("type", "string")
    kind = draw(st.sampled_from(kinds)) if isinstance(kinds, list) else kinds
    if kind == "object":
        return _object(draw, node, has_slip, depth)
    if kind == "array":
        size = draw(st.integers(0, 2)) if depth < _DEEPEST else 0
        return [_value(draw, node.get("items", {}), has_slip, depth + 1) for _ in range(size)]
    plain = {"boolean": (True, False), "null": (None,), "integer": _NUMBERS, "number": (*_NUMBERS, 1.5)}
    return draw(st.sampled_from(plain.get(kind, _TEXTS)))


def _object(draw: st.DrawFn, node: dict[str, Any], has_slip: bool, depth: int) -> dict[str, Any]:
    known = node.get("properties", {})
    names = set(node.get("required", ()))
    if known and depth < _DEEPEST:
        names |= set(draw(st.lists(st.sampled_from(sorted(known)), max_size=2)))
    found = {name: _value(draw, known.get(name, {}), has_slip, depth + 1) for name in sorted(names)}
    for inner in _others(node):
        name = draw(st.sampled_from(_NAMES))
        if depth < _DEEPEST and draw(st.booleans()):
            found[name] = _value(draw, inner, has_slip, depth + 1)
    if has_slip and draw(st.integers(0, 14)) == 0:
        found["no_such_key"] = 1
    return found


def _others(node: dict[str, Any]) -> Iterator[Any]:
    """What stands below names that nobody has fixed."""
    yield from (inner for pattern, inner in node.get("patternProperties", {}).items() if pattern != "^x-")
    if isinstance(node.get("additionalProperties"), dict):
        yield node["additionalProperties"]
