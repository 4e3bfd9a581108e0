"""The words of commands that are written as one text, as Compose finds them."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.stack.errors import ComposeFileError
from sandbox.stack.shell_words import split_words
from tests.sandbox.stack.projects import one

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "words", "left_out"),
    [
        ("", (), ""),
        ("a  b\tc\n", ("a", "b", "c"), ""),
        ("""sh -c 'a && b > c'""", ("sh", "-c", "a && b > c"), ""),
        ("""a "b 'c'" 'd "e"' f"g h"i''""", ("a", "b 'c'", 'd "e"', "fg hi"), ""),
        ("""'' "" a""", ("", "", "a"), ""),
        (r""""a\"b" a\ b 'a\b' \t\x""", ('a"b', "a b", r"a\b", "\tx"), ""),
        ("npm install && npm start", ("npm", "install"), "&& npm start"),
        ("run --port 80 2>&1", ("run", "--port", "80"), "2>&1"),
        ("run --port 80>log", ("run", "--port"), "80>log"),
        ("run x>log", ("run", "x"), ">log"),
        ("a;b", ("a",), ";b"),
        ("a<b|c", ("a",), "<b|c"),
        ("a $(b c) `d e`", ("a", "$(b c)", "`d e`"), ""),
        ("a \\; b", ("a", ";", "b"), ""),
    ],
)
def test_words(text: str, words: tuple[str, ...], left_out: str) -> None:
    assert split_words(text) == (words, left_out)


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "a\\", "(a)", "a $(b", "a `b", "a )"])
def test_what_has_no_end(text: str) -> None:
    with pytest.raises(ValueError, match=r"has no end|stands outside|behind a backslash"):
        split_words(text)


@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126))))
def test_what_is_quoted_for_a_shell_stays_whole(words: list[str]) -> None:
    assert split_words(" ".join("'" + word.replace("'", "'\"'\"'") + "'" for word in words)) == (tuple(words), "")
    plain = ["a" + "".join(char for char in word if char.isalnum()) for word in words]
    assert split_words(" ".join(plain)) == (tuple(shlex.split(" ".join(plain))), "")


def test_who_leaves_work_to_a_shell_is_told_that_there_is_none(tmp_path: Path) -> None:
    project = one(tmp_path, "services:\n  web: {image: i, command: npm install && npm start}\n")
    assert dict(project.services)["web"].command == ("npm", "install")
    (note,) = project.notes
    assert note.startswith("compose.yaml:2:28: services.web.command: '&& npm start' is left out")
    with pytest.raises(ComposeFileError, match=r"services\.web\.command: \"a 'b\" cannot be split into words"):
        one(tmp_path, 'services: {web: {image: i, command: "a \'b"}}')
