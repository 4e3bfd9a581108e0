"""YAML as it is understood here: 1.2's scalars, merge keys, and each way to misuse anchors refused with its place."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.stack.errors import ComposeFileError
from sandbox.stack.nodes import Mapping, Reset, Sequence
from sandbox.stack.places import Source
from sandbox.stack.reading import plain_of
from sandbox.stack.yaml_reading import read_documents

_SOURCE = Source("f.yaml", "/f.yaml", "/")


def _plain(text: str) -> Any:
    def mappings(value: object) -> object:
        from sandbox.stack.measures import Pairs

        if isinstance(value, Pairs):
            return {key: mappings(each) for key, each in value}
        return [mappings(each) for each in value] if isinstance(value, tuple) else value

    (node,) = read_documents(text.encode(), _SOURCE)
    return mappings(plain_of(node))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"), ("yes", "yes"), ("y", "y"), ("22:22", "22:22"), ("1:30", "1:30"), ("2026-01-02", "2026-01-02"),
        ("0444", "0444"), ("007", "007"), ("1_000", "1_000"), ("0o17", 15), ("0x1f", 31), ("12", 12), ("-3", -3),
        ("1.10", 1.1), (".5", 0.5), ("1e3", 1000.0), ("true", True), ("False", False), ("tRue", "tRue"),
        ("~", None), ("null", None), ("", None), ("'12'", "12"), ('"true"', "true"), ("!!str 12", "12"),
        ("=", "="), ("1.2.3", "1.2.3"), ("12e", "12e"), ("0b11", "0b11"),
    ],
)  # fmt: skip
def test_scalars(text: str, value: object) -> None:
    found = _plain(f"a: {text}")["a"]
    assert found == value
    assert type(found) is type(value)


def test_merge_keys() -> None:
    text = """
    a: &a {x: 1, y: 1}
    b: &b {y: 2, z: 2}
    l: &l [*a, *b]
    one: {z: 0, << : *a}
    many: {<<: [*a, *b], x: 9}
    list: {<<: *l}
    quoted: {"<<": 1}
    """
    found = _plain(text)
    assert found["one"] == {"x": 1, "y": 1, "z": 0}
    assert found["many"] == {"x": 9, "y": 1, "z": 2}
    assert found["list"] == {"x": 1, "y": 1, "z": 2}
    assert found["quoted"] == {"<<": 1}


def test_tags_are_kept() -> None:
    (node,) = read_documents(b"a: !reset null\nb: !override [1]\nc: !override {x: 1}\nd: !reset [1, 2]\n", _SOURCE)
    assert isinstance(node, Mapping)
    assert isinstance(node.entries["a"].node, Reset)
    assert isinstance(node.entries["d"].node, Reset)
    assert all(node.entries[key].node.replaces for key in "bc")
    assert isinstance(node.entries["b"].node, Sequence)


def test_places() -> None:
    (node,) = read_documents("\ufeffa:\n  - b\n  -   ümlaut: c\n".encode(), _SOURCE)
    assert isinstance(node, Mapping)
    items = node.entries["a"].node
    assert isinstance(items, Sequence)
    assert str(items.items[0].place) == "f.yaml:2:5"
    assert isinstance(items.items[1], Mapping)
    assert str(items.items[1].entries["ümlaut"].node.place) == "f.yaml:3:15"


def test_documents() -> None:
    assert len(read_documents(b"a: 1\n---\n---\nb: 2\n", _SOURCE)) == 2
    assert read_documents(b"# nothing\n", _SOURCE) == ()


_BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(9)
)
_MERGE_BOMB = "a: &a {k: {x: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} {{{', '.join(f'k{m}: {{<<: *{chr(97 + n)}}}' for m in range(9))}}}\n"
    for n in range(9)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: the key 'a' stands here twice\n  cause: the first is in line 1"),
        ("x: {<<: {a: 1}, <<: {b: 1}}", "f.yaml:1:17: the key '<<' stands here twice"),
        ("a: &a [*a]", "the anchor 'a' stands for itself"),
        ("a: &anchor 1\nb: *ancor", "f.yaml:2:4: no anchor 'ancor' stands above\n  mend: write *anchor"),
        ("a: {<<: 1}", "f.yaml:1:9: <<: the number 1 stands where a mapping or a list of mappings is expected"),
        ("1: a", "f.yaml:1:1: a key is a text, and 1 is none\n  mend: write '1' in quotes"),
        ("[a]: b", "a list stands where a key is expected"),
        ("a: !other x", "f.yaml:1:4: unknown tag '!other'"),
        ("a: [1", "f.yaml:2:1: this is no YAML"),
        ("a:\n\t- b", "f.yaml:2:1: this is no YAML"),
        ("a:\n\t- b", "mend: indent by blanks"),
        ("[" * 5000, "this is no YAML"),
        ("[" * 500 + "]" * 500, "nested more than 100 deep"),
        (_BOMB, "stands for more than 100000 values"),
        (_MERGE_BOMB, "stands for more than 100000 values"),
        ("a: \x01", "f.yaml: this is no YAML"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(ComposeFileError) as caught:
        read_documents(f"{text}\n".encode(), _SOURCE)
    assert says in caught.value.render()


#: what JSON writes as it is; surrogates in escapes are no YAML
_TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126))
_NUMBER = st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
_PLAIN = st.recursive(
    st.none() | st.booleans() | _NUMBER | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(_PLAIN)
def test_json_is_yaml(value: object) -> None:
    if isinstance(value, dict | list) and value:
        assert _plain(json.dumps({"a": value}))["a"] == value


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(ComposeFileError):
        read_documents(text.encode("utf-8", "replace"), _SOURCE)
