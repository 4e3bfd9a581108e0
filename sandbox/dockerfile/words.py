"""Shell words of a Dockerfile: quotes, escapes, `$name` and `${name…}`.

One reader serves three uses: the text after expansion (`expand`), the words that text falls into (EXPOSE), and words
with quotes and unknown variables left as written, by which heredocs are found. It follows BuildKit's rules, which
are near POSIX's and not the same: inside double quotes an escape character stays unless `"`, `$` or itself follows.

A Dockerfile may come from anybody: nesting and the length of a result have limits, for `ENV a=$a$a` doubles with
each line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.errors import WordError
from sandbox.dockerfile.word_reader import DEEPEST, LONGEST, Reader, Rules, split_space

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DEEPEST", "LONGEST", "Expansion", "Rules", "expand", "expand_heredoc", "expand_words"
]  # fmt: skip


class Expansion(NamedTuple):
    """The result; `matched` and `unset` are the variables met with and without a value."""

    text: str
    words: tuple[str, ...]
    matched: frozenset[str]
    unset: frozenset[str]


def expand(word: str, environment: Mapping[str, str], rules: Rules | None = None) -> Expansion:
    """`word` with variables replaced and quotes removed. Raises WordError."""
    rules = rules or Rules()
    if not any(char in word for char in f"$'\"<{rules.escape}"):
        return Expansion(word, tuple(split_space(word)), frozenset(), frozenset())
    reader = Reader(word, environment, rules)
    try:
        text, words = reader.read_until("", rules.raw_escapes)
    except WordError as error:
        error.unset = frozenset(reader.unset)
        raise
    return Expansion(text, tuple(words), frozenset(reader.matched), frozenset(reader.unset))


def expand_words(word: str, environment: Mapping[str, str], escape: str = "\\") -> tuple[str, ...]:
    """The words of `word` after expansion: white space from a variable parts words, quoted it does not."""
    return expand(word, environment, Rules(escape)).words


def expand_heredoc(content: str, environment: Mapping[str, str]) -> Expansion:
    """The body of a heredoc whose name was not quoted."""
    return expand(content, environment, Rules(plain_quotes=True))
