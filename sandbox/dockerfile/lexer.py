"""Physical lines to logical lines: comments, blank lines, continuations and the bodies of heredocs.

The rules are those of BuildKit's parser: white space before an instruction goes, before a continued line it stays; a
comment between continued lines vanishes; an empty line there vanishes too, and is worth a warning. A line is
continued when it ends in one escape character (blanks may follow); two of them are not a continuation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.dockerfile.source_text import SPACE, Line

if TYPE_CHECKING:
    from sandbox.dockerfile.source_text import Source


class Lexer:
    """Reads a source from front to back."""

    def __init__(self, source: Source, escape: str, taken: int) -> None:
        self._source = source
        self._escape = escape
        self._comments: list[str] = []
        #: numbers of the empty lines met inside continuations
        self.empty_continuations: list[int] = []
        #: how many physical lines are read
        self.taken = taken

    def next_line(self) -> Line | None:
        """The next logical line, or None at the end."""
        lines = self._source.lines
        while self.taken < len(lines):
            line = lines[self.taken].rstrip("\r\n")
            self.taken += 1
            text = line.lstrip(SPACE)
            if text.startswith("#"):
                self._take_comment(text[1:].strip(SPACE))
                continue
            piece, ended = self._cut(text)
            if piece or not ended:
                return self._join(piece, len(line) - len(text) + 1, ended)
        return None

    def take_comments(self) -> tuple[str, ...]:
        """The comments since the last instruction; an empty comment parts a group from the one before."""
        comments, self._comments = tuple(self._comments), []
        return comments

    def read_heredoc(self, name: str, *, chomp: bool) -> str | None:
        """The lines up to the one that is `name`, which is consumed; None where the file ends first."""
        lines = self._source.lines
        content: list[str] = []
        while self.taken < len(lines):
            line = lines[self.taken]
            self.taken += 1
            bare = line.rstrip("\r\n")
            if (bare.lstrip("\t") if chomp else bare) == name:
                return "".join(content)
            content.append(line)
        return None

    def _take_comment(self, text: str) -> None:
        if text:
            self._comments.append(text)
        else:
            self._comments.clear()

    def _join(self, piece: str, column: int, ended: bool) -> Line:
        pieces, starts, places = [piece], [0], [(self.taken, column)]
        length = len(piece)
        lines = self._source.lines
        while not ended and self.taken < len(lines):
            line = lines[self.taken].rstrip("\r\n")
            self.taken += 1
            text = line.lstrip(SPACE)
            if text.startswith("#"):
                continue
            if not text:
                self.empty_continuations.append(self.taken)
                continue
            piece, ended = self._cut(line)
            pieces.append(piece)
            starts.append(length)
            places.append((self.taken, 1))
            length += len(piece)
        return Line("".join(pieces), self._source, tuple(starts), tuple(places), self.taken)

    def _cut(self, text: str) -> tuple[str, bool]:
        """`text` without the escape character that continues it, and whether the logical line ends here."""
        bare = text.rstrip(" \t")
        if bare.endswith(self._escape) and bare[-2:-1] != self._escape:
            return bare[:-1], False
        return text, True
