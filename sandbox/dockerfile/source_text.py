"""The text of a Dockerfile, and where each character of an instruction comes from.

An instruction is written over several physical lines; its logical line is those joined. A `Line` keeps where each
piece began, so that any offset in it leads back to a line and a column of the file.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

from sandbox.dockerfile.errors import DockerfileError, LanguageError, Place

#: Unicode's White_Space; str.isspace() also takes the control characters \x1c to \x1f, which BuildKit does not
SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))


class Source(NamedTuple):
    """A file: its name for messages and its physical lines, each with its line end."""

    name: str
    lines: tuple[str, ...]

    def place(self, number: int, column: int = 1) -> Place:
        text = self.lines[number - 1].rstrip("\r\n") if 0 < number <= len(self.lines) else ""
        return Place(self.name, max(number, 1), column, text)


class Word(NamedTuple):
    """A part of a logical line and where it starts there, in characters."""

    text: str
    offset: int


class Line(NamedTuple):
    """A logical line. `starts` are the offsets at which its pieces begin, `places` their (line, column)."""

    text: str
    source: Source
    starts: tuple[int, ...]
    places: tuple[tuple[int, int], ...]
    #: the last physical line it takes; heredocs, which follow it, not counted
    last: int

    @property
    def first(self) -> int:
        return self.places[0][0]

    def place(self, offset: int = 0) -> Place:
        """The place in the file of the character at `offset`."""
        piece = max(bisect_right(self.starts, offset) - 1, 0)
        number, column = self.places[piece]
        return self.source.place(number, column + offset - self.starts[piece])

    def error(self, message: str, offset: int = 0, *, expected: str = "", mend: str = "") -> DockerfileError:
        return DockerfileError(message, self.place(offset), expected=expected, mend=mend)


def decode(data: bytes, name: str) -> str:
    """The text of a file: UTF-8 with or without a mark; bytes that are not UTF-8 are kept as surrogates.

    Raises LanguageError for UTF-16.
    """
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise LanguageError(f"{name} is UTF-16", cause="a Dockerfile is UTF-8", mend=f"iconv -f UTF-16 -t UTF-8 {name}")
    return data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")


def split_lines(text: str) -> tuple[str, ...]:
    """The physical lines with their ends; only a line feed ends one."""
    parts = text.split("\n")
    lines = [part + "\n" for part in parts[:-1]]
    if parts[-1]:
        lines.append(parts[-1])
    return tuple(lines)
