"""A logical line cut into fields: the instruction, its flags, and words in the three ways instructions have them."""

from __future__ import annotations

import re
from typing import NamedTuple

from sandbox.dockerfile.source_text import SPACE, Word

#: the blanks that part arguments; other white space of Unicode does not
_ARGUMENT = re.compile(r"[^\t\v\f\r ]+")
_BLANKS = "\t\v\f\r "
_SPACES = re.compile(f"[{SPACE}]*")
_QUOTES = "'\""
# what may be skipped at a stroke: each pattern is one character class, so no input makes it go back
_PLAIN = {escape: re.compile(f"[^{SPACE}'\"{re.escape(escape)}]+") for escape in "\\`"}
_QUOTED = {
    (quote, escape): re.compile(f"[^{quote}{re.escape(escape)}]+") for quote in _QUOTES for escape in ("\\", "`")
}


class Head(NamedTuple):
    """A line's first word, the flags after it, and what follows those, stripped of space at both ends."""

    keyword: Word
    flags: tuple[Word, ...]
    #: the flags as written
    raw_flags: str
    rest: Word


def split_head(text: str, escape: str, start: int = 0) -> Head:
    """The head of the instruction that begins at or after `start` in `text`."""
    start = _skip_space(text, start)
    stop = len(text.rstrip(SPACE))
    found = _ARGUMENT.match(text, start, stop)
    end = found.end() if found else start
    keyword = Word(text[start:end], start)
    flags, position = _split_flags(text, end, stop, escape)
    first = _skip_space(text, position)
    return Head(keyword, tuple(flags), text[end:position].strip(SPACE), Word(text[first : max(first, stop)], first))


def split_blanks(rest: Word) -> list[Word]:
    """Words parted by blanks, quotes and escapes meaning nothing: FROM, EXPOSE, COPY, ADD, VOLUME."""
    return [Word(found.group(), rest.offset + found.start()) for found in _ARGUMENT.finditer(rest.text)]


def split_once(rest: Word) -> tuple[Word, Word] | None:
    """The first word and all that follows the blanks after it: ENV's and LABEL's old form."""
    found = _ARGUMENT.match(rest.text)
    if found is None or found.end() == len(rest.text):
        return None
    value = rest.text[found.end() :].lstrip(_BLANKS)
    return Word(found.group(), rest.offset), Word(value, rest.offset + len(rest.text) - len(value))


def split_words(rest: Word, escape: str) -> list[Word]:
    """Words parted by white space outside quotes; quotes and escapes stay in them: ENV, LABEL, ARG."""
    text, words, position = rest.text, [], _skip_space(rest.text, 0)
    while position < len(text):
        end, lone_escape = _word_end(text, position, escape)
        word = text[position : end - lone_escape]
        if word:
            words.append(Word(word, rest.offset + position))
        position = _skip_space(text, end)
    return words


def _word_end(text: str, position: int, escape: str) -> tuple[int, bool]:
    """Where the word ends, and whether its last character is an escape that escapes nothing."""
    quote = ""
    while position < len(text):
        char = text[position]
        if char == escape and quote != "'":
            if position + 1 == len(text):
                return len(text), True
            position += 2
        elif quote and char == quote:
            quote = ""
            position += 1
        elif quote == "'":
            end = text.find("'", position)
            position = len(text) if end < 0 else end
        elif quote:
            position = _skip(_QUOTED[quote, escape], text, position)
        elif char in _QUOTES:
            quote = char
            position += 1
        elif char in SPACE:
            break
        else:
            position = _skip(_PLAIN[escape], text, position)
    return position, False


def _split_flags(text: str, position: int, stop: int, escape: str) -> tuple[list[Word], int]:
    """The words that begin with `--`, unquoted, and where the rest begins; a bare `--` ends them."""
    flags: list[Word] = []
    while True:
        position = _skip_space(text, position)
        if not text.startswith("--", position, stop):
            return flags, position
        start = position
        value, position = _read_flag(text, position, stop, escape)
        if value == "--":
            return flags, position
        flags.append(Word(value, start))


def _read_flag(text: str, position: int, stop: int, escape: str) -> tuple[str, int]:
    parts: list[str] = []
    quote = ""
    while position < stop:
        char = text[position]
        if char == escape:
            parts.append(text[position + 1 : min(position + 2, stop)])
            position = min(position + 2, stop)
        elif char == quote:
            quote = ""
            position += 1
        elif not quote and char in _QUOTES:
            quote = char
            position += 1
        elif not quote and char in SPACE:
            break
        else:
            end = min(_skip(_QUOTED[quote, escape] if quote else _PLAIN[escape], text, position), stop)
            parts.append(text[position:end])
            position = end
    return "".join(parts), position


def _skip(pattern: re.Pattern[str], text: str, position: int) -> int:
    found = pattern.match(text, position)
    return found.end() if found else position + 1


def _skip_space(text: str, position: int) -> int:
    found = _SPACES.match(text, position)
    return found.end() if found else position
