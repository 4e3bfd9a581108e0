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
    names = tuple(known)
    if any(name.lower() == word.lower() for name in names):
        return ""
    from sandbox.near_names import nearest  # only an error pays for it

    near = nearest(word, names)
    return f" (did you mean {near}?)" if near else ""
