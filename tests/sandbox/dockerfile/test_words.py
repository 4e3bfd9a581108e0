"""Shell words and `${…}`: BuildKit's tables, and the limits a hostile file runs into."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.dockerfile.errors import WordError
from sandbox.dockerfile.patterns import find_matches, read_pattern
from sandbox.dockerfile.words import DEEPEST, Rules, expand, expand_heredoc, expand_words
from tests.sandbox.dockerfile.vectors import cases

FILE = "envvars.json"
#: the environment the table's first part was made with
ENVIRONMENT = {"PWD": "/home", "SHELL": "bash", "KOREAN": "한국어", "NULL": ""}


def _text(word: str, environment: dict[str, str], escape: str = "\\") -> str:
    return expand(word, environment, Rules(escape)).text


def _expand(word: str, environment: dict[str, str]) -> tuple[object, object, frozenset[str]]:
    try:
        found = expand(word, environment)
    except WordError as error:
        return "error", "error", error.unset
    return found.text, list(found.words), found.unset


@pytest.mark.requires("vectors")
@pytest.mark.parametrize("table", ["expand", "words", "patterns"])
def test_tables(table: str) -> None:
    """Each row a word and an environment, with the text or the words that come of it, or an error."""
    wrong = []
    for row in cases(FILE, table):
        text, words, unset = _expand(row["word"], row.get("env", ENVIRONMENT))
        found, expected = (words, row.get("words")) if table == "words" else (text, row.get("result"))
        if found != ("error" if row.get("error") else expected):
            wrong.append((row, found))
        if table == "patterns" and sorted(unset) != sorted(row.get("unset_names_met", [])):
            wrong.append((row, unset))
    assert not wrong


# BuildKit empties the word begun when it meets a nested word, so that its EXPOSE 80${X:-8} exposes 8
@pytest.mark.parametrize(
    ("word", "words"),
    [("80${X:-8}", ("808",)), ("a${X:-b c}d", ("ab", "cd")), ("${A:-${B:-x y}} z", ("x", "y", "z"))],
)
def test_a_nested_word_keeps_what_stands_before_it(word: str, words: tuple[str, ...]) -> None:
    assert expand_words(word, {}) == words


# BuildKit's replacement with // is a template of its regular expressions: there $1 vanishes
def test_a_replacement_is_taken_literally() -> None:
    assert _text("${V//a/\\$1}", {"V": "aba"}) == "\\$1b\\$1"


# to BuildKit a star ends at a line feed
def test_a_star_takes_a_line_feed() -> None:
    assert _text("${V#*c}", {"V": "a\nbcd"}) == "d"


@pytest.mark.parametrize(
    ("word", "escape", "text"),
    [("`$HOME", "`", "$HOME"), ("a\\b", "`", "a\\b"), ('"a`"b"', "`", 'a"b'), ("\\$HOME", "`", "\\/root")],
)
def test_the_other_escape_character(word: str, escape: str, text: str) -> None:
    assert _text(word, {"HOME": "/root"}, escape) == text


def test_a_heredoc_keeps_its_quotes() -> None:
    assert expand_heredoc("echo \"$A\" '$A' \\$A\n", {"A": "x"}).text == "echo \"x\" 'x' $A\n"


def test_unset_variables_may_stay() -> None:
    word = '$A ${B} ${C:-$D} ${E#x} "${F/a/b}"'
    assert expand(word, {}, Rules(keep_unset=True, raw_quotes=True)).text == word


@pytest.mark.parametrize(
    ("word", "offset"), [("abc ${", 4), ("ab'c", 2), ('a"bc', 1), ("${a:=b}", 0), ("x${y?}", 1), ("${a:-b", 5)]
)
def test_errors_say_where(word: str, offset: int) -> None:
    with pytest.raises(WordError) as raised:
        _text(word, {})
    assert raised.value.offset == offset


def test_nesting_has_an_end() -> None:
    depth = 100_000
    with pytest.raises(WordError, match="nested deeper"):
        _text("${a:-" * depth + "}" * depth, {})
    fits = DEEPEST - 2
    assert _text("${a:-" * fits + "x" + "}" * fits, {}) == "x"


@pytest.mark.parametrize("word", ["$A" * 100, "${A//a/$A}", '"$A$A"', "${B:-$A$A}"])
def test_a_result_has_an_end(word: str) -> None:
    with pytest.raises(WordError, match="too long"):
        _text(word, {"A": "a" * 9_000_000})


@pytest.mark.parametrize("word", ["${V#*a*a*a*a*a*b}", "${V%%b*a*a*a*a*}", "${V//a*a*a*b/x}", "${V//a?a*?b/}"])
def test_no_pattern_is_slow(word: str) -> None:
    assert _text(word, {"V": "a" * 20_000}) == "a" * 20_000


def test_a_long_word_is_read_in_one_pass() -> None:
    word = "a'b'\"c\"\\d$E<<" * 100_000
    assert _text(word, {"E": "e"}) == "abcde<<" * 100_000


@given(st.text(alphabet="ab*?", max_size=6), st.text(alphabet="ab\n", max_size=8), st.booleans())
def test_matches_are_those_of_a_regular_expression(pattern: str, value: str, every: bool) -> None:
    import re

    regex = re.compile("".join({"*": ".*", "?": "."}.get(c, c) for c in pattern), re.DOTALL)
    spans = [found.span() for found in regex.finditer(value)]
    # Python takes an empty match right behind another, Go and we do not
    expected = [span for i, span in enumerate(spans) if span[0] < span[1] or not i or spans[i - 1][1] != span[0]]
    assert list(find_matches(read_pattern(pattern), value, every=every)) == expected[: None if every else 1]


@given(st.text(alphabet="a'\"\\`$<>{}:-+?#%/* \n=", max_size=40), st.sampled_from("\\`"), st.booleans(), st.booleans())
def test_no_word_raises_anything_else(word: str, escape: str, raw: bool, keep: bool) -> None:
    try:
        found = expand(word, {"a": "a*?", "aa": ""}, Rules(escape, raw, raw, plain_quotes=False, keep_unset=keep))
    except WordError as error:
        assert 0 <= error.offset <= len(word) + 2  # noqa: PT017  # either outcome is right
    else:
        assert found.matched <= {"a", "aa"}
