"""Heredocs: `<<EOF`, `<<-EOF`, `<<"EOF"` in RUN, COPY and ADD."""

from __future__ import annotations

import re
from typing import NamedTuple

from sandbox.dockerfile.errors import WordError
from sandbox.dockerfile.words import Rules, expand

#: one pass over four classes of characters that do not meet
_MARKER = re.compile(r"([0-9]*)<<(-?)[\t\n\f\r ]*([^<]*)", re.DOTALL)
_LINE_RULES = Rules(raw_quotes=True, raw_escapes=True, keep_unset=True)


class Heredoc(NamedTuple):
    """`content` as written; `expand`: variables are replaced (the name was not quoted); `chomp`: leading tabs go."""

    name: str
    content: str
    expand: bool
    chomp: bool
    file_descriptor: int = 0

    @property
    def text(self) -> str:
        """The content without the leading tabs of its lines, where `<<-` asks for that."""
        if not self.chomp:
            return self.content
        return "\n".join(line.lstrip("\t") for line in self.content.split("\n"))


def read_marker(word: str) -> Heredoc | None:
    """The heredoc, its content still missing, that one word of a line opens, or None. Raises WordError."""
    found = _MARKER.fullmatch(word)
    if found is None or not found[3]:
        return None
    # a word is quoted where reading it with and without its quotes differs
    names = expand(found[3], {}, Rules(keep_unset=True)).words
    if len(names) != 1:
        return None
    written = expand(found[3], {}, Rules(keep_unset=True, raw_quotes=True)).words
    if len(written) != 1:
        raise WordError(f"the name of a heredoc cannot be read: {found[3]}")
    quotes, written_quotes = (text.count("'") + text.count('"') for text in (names[0], written[0]))
    return Heredoc(names[0], "", quotes == written_quotes, bool(found[2]), _descriptor(found[1]))


def find_markers(line: str) -> list[Heredoc]:
    """The heredocs a logical line opens, in order. Raises WordError.

    The line is read as shell words with the backslash whatever the escape directive says, as BuildKit does; a line
    that cannot be read so opens none.
    """
    if "<<" not in line:
        return []
    try:
        words = expand(line, {}, _LINE_RULES).words
    except WordError:
        return []
    return [found for word in words if "<<" in word and (found := read_marker(word)) is not None]


def _descriptor(digits: str) -> int:
    return int(digits[:9] or "0")
