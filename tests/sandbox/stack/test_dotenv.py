"""The grammar of `.env`: compose-go's files and tables, and what they leave out."""

from __future__ import annotations

import pytest

from sandbox.stack.dotenv import parse_dotenv, parse_raw
from sandbox.stack.errors import ComposeFileError
from tests.sandbox.stack.vectors import document, pairs

_NOTHING: dict[str, str] = {}


def _parse(text: str, env: dict[str, str] = _NOTHING) -> dict[str, str]:
    return parse_dotenv(text, env.get)


@pytest.mark.requires("vectors")
def test_files() -> None:
    vectors = document("compose-dotenv.json")
    seen = 0
    for name, table in vectors["cases"].items():
        parts = {row["var"]: row["value"] for row in table}
        file = str(parts.get("envFileName", "")).removeprefix("fixtures/")
        if "expectedValues" not in parts or file not in vectors["files"] or "presets" in parts:
            continue
        if file == "custom.format":
            # a format of the library's caller, which Compose does not offer
            continue
        env = {parts["envKey"]: parts["envVal"]} if "envKey" in parts else {}
        found = _parse(vectors["files"][file], env)
        expected = pairs(parts["expectedValues"])
        seen += 1
        # a variable of the environment goes before that of the file, which is the caller's to do
        assert {key: found.get(key) for key in expected} | env == expected | env, name
    assert seen >= 10
    with pytest.raises(ComposeFileError):
        _parse(vectors["files"]["invalid1.env"])
    for case in vectors["cases"]["TestExpanding"][0]["value"]:
        assert _parse(case["input"]) == pairs(case["expected"]), case["name"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A=1\nB=$A", {"A": "1", "B": "1"}),
        ("A='$X'\nB=\"$X\"", {"A": "$X", "B": "shell"}),
        ("A=a#b # c", {"A": "a#b"}),
        ("A=\nB=''", {"A": "", "B": ""}),
        ("export A=1", {"A": "1"}),
        ("A: 1", {"A": "1"}),
        ("X\nY", {"X": "shell"}),
        ('A="one\ntwo"', {"A": "one\ntwo"}),
        ('A="\\t\\"\\$X"', {"A": '\t"$X'}),
        ("A='it\\'s'", {"A": "it's"}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("A=${X:-d}${N:-d}", {"A": "shelld"}),
        ("# only\n\n   # comments", {}),
    ],
)
def test_lines(text: str, found: dict[str, str]) -> None:
    assert _parse(text, {"X": "shell"}) == found


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("A=1\nlol$wut", ".env:2: unexpected character '$'"),
        ("A B=1", "cannot hold a blank"),
        ('A=1\n\nB="x', ".env:3: unterminated quoted value"),
        ("A=${B", ".env:1: invalid interpolation format"),
        ("A=${B:?must}", "required variable B is missing a value: must"),
    ],
)
def test_what_is_no_line(text: str, says: str) -> None:
    with pytest.raises(ComposeFileError) as caught:
        _parse(text)
    assert says in caught.value.message


def test_raw_lines_mean_nothing() -> None:
    assert parse_raw("# c\nA='$X' # y\n\nB=1=2\r\n", "f") == {"A": "'$X' # y", "B": "1=2"}
    with pytest.raises(ComposeFileError, match="f:1"):
        parse_raw("A", "f")
