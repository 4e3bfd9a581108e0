"""What is wrong with a Dockerfile, an ignore file or a word in one.

    LanguageError          every error of the language; status 1
      DockerfileError      with the place: file, line, column and the line itself
      WordError            in a word or a value, by whoever does not know the place

No input makes the language raise anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.errors import SandboxError
from sandbox.redaction import mask, redact

if TYPE_CHECKING:
    from collections.abc import Iterable

#: what of a long line is shown, around the column
_SHOWN = 100
_LONGEST = 400


class Place(NamedTuple):
    """A character of a file; `line` and `column` count from 1, `text` is the whole line without its end."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class LanguageError(SandboxError):
    """A Dockerfile, or a part of one, that cannot be understood."""


class WordError(LanguageError):
    """A word or value that cannot be read or expanded; `offset` counts characters from its start."""

    def __init__(self, message: str, *, offset: int = 0, mend: str = "", unset: frozenset[str] = frozenset()) -> None:
        super().__init__(message, mend=mend)
        self.offset = offset
        #: variables without a value that were met before the error
        self.unset = unset


class DockerfileError(LanguageError):
    """The Dockerfile breaks a rule at a place."""

    def __init__(self, message: str, place: Place, *, expected: str = "", mend: str = "") -> None:
        super().__init__(message, mend=mend)
        self.place = place
        self.expected = expected
        #: the lines after that of the place which belong to the same instruction
        self.following: tuple[str, ...] = ()
        #: whether a person has been shown it already
        self.shown = False

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"

    def render(self) -> str:
        number = str(self.place.line)
        shown, column = _window(self.place.text, self.place.column)
        lines = [
            f"Error: {self.place}: {printable(self.message)}",
            f"  {number} | {shown}",
            f"  {' ' * len(number)} | {' ' * (column - 1)}^",
        ]
        for further, text in enumerate(self.following, self.place.line + 1):
            lines.append(f"  {further:{len(number)}} | {_window(text, 1)[0]}")
        if self.expected:
            lines.append(f"  expected: {printable(self.expected)}")
        if self.mend:
            lines.append(f"  mend: {printable(self.mend)}")
        return "\n".join(lines)


def printable(text: str) -> str:
    """`text` as one line that moves no cursor and shows no credentials of URLs: a Dockerfile from elsewhere may hold
    terminal escapes, and megabytes.
    """
    return _plain(redact(text))


def _plain(text: str) -> str:
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c in "\t\n\r\v\f" else "�" for c in text)


def _window(text: str, column: int) -> tuple[str, int]:
    """The part of a line to show, and the column in it; a line of megabytes is not for a terminal."""
    text = mask(text)
    start = max(0, column - 1 - _SHOWN // 2) if len(text) > _SHOWN else 0
    part = _plain(text[start : start + _SHOWN])
    before, after = "…" if start else "", "…" if start + _SHOWN < len(text) else ""
    return f"{before}{part}{after}", column - start + len(before)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The text ` (did you mean X?)` where one of `known` is close to `word`, else the empty text."""
    # comparing takes time by the square of the length, and no name of ours is long
    if not 0 < len(word) <= 40:
        return ""
    folded = {name.lower(): name for name in known}
    lowered = word.lower()
    if lowered in folded:
        return ""
    # of names equally far, the one of the same letters: two of them changed places (RNU is RUN, not ENV)
    ranked = ((_distance(lowered, name), sorted(name) != sorted(lowered), name) for name in folded)
    distance, _, near = min(ranked, default=(99, True, ""))
    if distance > 2 or distance >= len(word):
        from difflib import get_close_matches  # only an error pays for it

        near = next(iter(get_close_matches(lowered, folded, n=1)), "")
    return f" (did you mean {folded[near]}?)" if near else ""


def _distance(one: str, other: str) -> int:
    """How many characters must be put in, taken out or changed (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, char in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, against in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (char != against))
    return row[-1]
