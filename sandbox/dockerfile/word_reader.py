"""The reader behind `words`: one pass over a word, with `$name` and `${name…}` read by calling itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.errors import WordError
from sandbox.dockerfile.patterns import read_pattern, replace_matches, trim_prefix, trim_suffix
from sandbox.dockerfile.source_text import SPACE

if TYPE_CHECKING:
    from collections.abc import Mapping

DEEPEST = 100
#: no program can be given more: one string of its environment ends at 128 KiB, execve(2)
LONGEST = 16 * 1024 * 1024

_SPECIAL_PARAMETERS = frozenset("@*#?-$!0")
_PIECES = re.compile(f"[{SPACE}]+|[^{SPACE}]+")
_PLAIN = {escape: re.compile(rf"[^$<'\"}}/{re.escape(escape)}]+") for escape in ("\\", "`")}
_IN_DOUBLE = {escape: re.compile(rf"[^$\"{re.escape(escape)}]+") for escape in ("\\", "`")}


class Rules(NamedTuple):
    """How to read: which character escapes, and what stays as it is written."""

    escape: str = "\\"
    #: quotes are understood and kept
    raw_quotes: bool = False
    #: escape characters are understood and kept
    raw_escapes: bool = False
    #: quotes mean nothing: the body of a heredoc
    plain_quotes: bool = False
    #: `$name` without a value stays
    keep_unset: bool = False


def split_space(text: str) -> list[str]:
    return [piece for piece in _PIECES.findall(text) if piece[0] not in SPACE]


class Words:
    """Words as they grow."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._parts: list[str] = []

    def add(self, text: str) -> None:
        """Text in which white space parts words."""
        for piece in _PIECES.findall(text):
            if piece[0] in SPACE:
                self._flush()
            else:
                self._parts.append(piece)

    def add_raw(self, text: str) -> None:
        if text:
            self._parts.append(text)

    def finish(self) -> list[str]:
        self._flush()
        return self._done

    def _flush(self) -> None:
        if self._parts:
            self._done.append("".join(self._parts))
            self._parts.clear()


class Reader:
    def __init__(self, text: str, environment: Mapping[str, str], rules: Rules) -> None:
        self._text = text
        self._environment = environment
        self._rules = rules
        self._escape = rules.escape
        self._raw_escapes = rules.raw_escapes
        self._position = 0
        self._depth = 0
        self._produced = 0
        self.matched: set[str] = set()
        self.unset: set[str] = set()

    def read_until(self, stop: str, raw_escapes: bool) -> tuple[str, list[str]]:
        """What comes before `stop`, which is consumed; with the empty text all that is left.

        Raises WordError or TemplateError where substitutions are nested too deeply.
        """
        if self._depth >= DEEPEST:
            raise self._error(f"substitutions are nested deeper than {DEEPEST}")
        outer, self._raw_escapes = self._raw_escapes, raw_escapes
        self._depth += 1
        try:
            return self._read(stop)
        finally:
            self._raw_escapes = outer
            self._depth -= 1

    def _read(self, stop: str) -> tuple[str, list[str]]:
        parts: list[str] = []
        words = Words()
        begin = self._position
        while self._position < len(self._text):
            char = self._text[self._position]
            if char == stop:
                self._position += 1
                return "".join(parts), words.finish()
            found = self._read_plain(char)
            if found is not None:
                parts.append(found)
                words.add(found)
            elif char == self._escape:
                kept, escaped = self._read_escape()
                parts.append(kept + escaped)
                words.add_raw(kept + escaped)
            else:
                found = self._read_special(char)
                parts.append(found)
                if char == "$":
                    words.add(found)
                else:
                    words.add_raw(found)
        if stop:
            raise self._error(f"unexpected end while looking for {stop!r}", begin)
        return "".join(parts), words.finish()

    def _read_plain(self, char: str) -> str | None:
        """A run of characters that mean nothing here, or None."""
        if char == self._escape or char in "$<":
            return None
        if char in "'\"" and not self._rules.plain_quotes:
            return None
        found = _PLAIN[self._escape].match(self._text, self._position)
        text = found.group() if found else char
        self._position += len(text)
        self._count(text)
        return text

    def _read_special(self, char: str) -> str:
        if char == "$":
            return self._read_dollar()
        if char == "'":
            return self._read_single()
        if char == '"':
            return self._read_double()
        return self._read_less()

    def _read_escape(self) -> tuple[str, str]:
        kept = self._escape if self._raw_escapes else ""
        escaped = self._text[self._position + 1 : self._position + 2]
        self._position += 2
        return kept, escaped

    def _read_less(self) -> str:
        """`<`, or `<<` with the blanks behind it: these belong to the word, so that `<< EOF` is one."""
        start = self._position
        self._position += 1
        if self._text.startswith("<", self._position):
            self._position += 1
            while self._text[self._position : self._position + 1] in ("\t", "\r", " "):
                self._position += 1
        return self._text[start : self._position]

    def _read_single(self) -> str:
        start = self._position
        end = self._text.find("'", start + 1)
        if end < 0:
            raise self._error("unexpected end while looking for the matching single quote", start)
        self._position = end + 1
        text = self._text[start : end + 1] if self._rules.raw_quotes else self._text[start + 1 : end]
        return self._count(text)

    def _read_double(self) -> str:
        start = self._position
        self._position += 1
        parts: list[str] = []
        while self._position < len(self._text):
            char = self._text[self._position]
            if char == '"':
                self._position += 1
                text = "".join(parts)
                return f'"{text}"' if self._rules.raw_quotes else text
            if char == "$":
                parts.append(self._read_dollar())
            elif char == self._escape:
                parts.append(self._read_double_escape())
            else:
                found = _IN_DOUBLE[self._escape].match(self._text, self._position)
                text = found.group() if found else char
                self._position += len(text)
                parts.append(self._count(text))
        raise self._error("unexpected end while looking for the matching double quote", start)

    def _read_double_escape(self) -> str:
        following = self._text[self._position + 1 : self._position + 2]
        self._position += 1
        if not following:
            return self._escape if self._raw_escapes else ""
        if following not in ('"', "$", self._escape):
            return self._escape * (2 if self._raw_escapes else 1)
        self._position += 1
        return (self._escape if self._raw_escapes else "") + following

    def _read_dollar(self) -> str:
        start = self._position
        self._position += 1
        if not self._text.startswith("{", self._position):
            name = self._read_name()
            if not name:
                return "$"
            return self._value_or_written(name, self._text[start : self._position])
        self._position += 1
        following = self._text[self._position : self._position + 1]
        if not following:
            raise self._error("missing '}'", start)
        if following in "{}:":
            raise self._error("bad substitution: a name is missing", start)
        return self._read_modifier(self._read_name(), start)

    def _read_modifier(self, name: str, start: int) -> str:
        sign = self._take()
        if sign == "}":
            return self._value_or_written(name, f"${{{name}}}")
        if sign == "/":
            return self._replace(name, start)
        null_is_unset = sign == ":"
        if null_is_unset:
            sign = self._take()
        elif sign not in tuple("+-?#%"):
            raise self._error(f"unsupported modifier ({sign}) in substitution", start)
        trims = sign in ("#", "%")
        if null_is_unset and trims:
            raise self._error(f"unsupported modifier (:{sign}) in substitution", start)
        word, _ = self.read_until("}", raw_escapes=trims)
        value = self._look_up(name)
        if value is None and self._rules.keep_unset:
            return f"${{{name}{':' if null_is_unset else ''}{sign}{word}}}"
        if trims:
            return self._trim(sign, word, value or "")
        return self._choose(name, sign, word, value, null_is_unset, start)

    def _choose(self, name: str, sign: str, word: str, value: str | None, null_is_unset: bool, start: int) -> str:
        missing = value is None or (null_is_unset and not value)
        if sign == "-":
            return word if missing or value is None else self._count(value)
        if sign == "+":
            return "" if missing else word
        if sign == "?":
            if missing or value is None:
                reason = "is not allowed to be unset" if value is None else "is not allowed to be empty"
                raise self._error(f"{name}: {word or reason}", start)
            return self._count(value)
        raise self._error(f"unsupported modifier (:{sign}) in substitution", start)

    def _trim(self, sign: str, word: str, value: str) -> str:
        longest = word.startswith(sign)
        pattern = read_pattern(word[1:] if longest else word)
        trim = trim_prefix if sign == "#" else trim_suffix
        return self._count(trim(pattern, value, longest=longest))

    def _replace(self, name: str, start: int) -> str:
        every = self._text.startswith("/", self._position)
        self._position += every
        word, _ = self.read_until("/", raw_escapes=True)
        replacement, _ = self.read_until("}", raw_escapes=True)
        value = self._look_up(name)
        if value is None:
            if self._rules.keep_unset:
                return f"${{{name}/{word}/{replacement}}}"
            value = ""
        found = replace_matches(read_pattern(word), value, replacement, every=every, longest=LONGEST)
        if found is None:
            raise self._error("the result is too long", start)
        return self._count(found)

    def _read_name(self) -> str:
        """Letters, digits and `_`; after a leading digit digits only; or one special parameter."""
        start = self._position
        first = self._text[start : start + 1]
        if first.isdecimal():
            while self._text[self._position : self._position + 1].isdecimal():
                self._position += 1
        elif first in _SPECIAL_PARAMETERS:
            self._position += 1
        else:
            while _in_name(self._text[self._position : self._position + 1]):
                self._position += 1
        return self._text[start : self._position]

    def _take(self) -> str:
        char = self._text[self._position : self._position + 1]
        self._position += 1
        return char

    def _value_or_written(self, name: str, written: str) -> str:
        value = self._look_up(name)
        if value is None:
            return written if self._rules.keep_unset else ""
        return self._count(value)

    def _look_up(self, name: str) -> str | None:
        value = self._environment.get(name)
        (self.unset if value is None else self.matched).add(name)
        return value

    def _count(self, text: str) -> str:
        # nested results are counted at each level, so the limit is met early rather than late
        self._produced += len(text)
        if self._produced > LONGEST:
            raise self._error("the result is too long")
        return text

    def _error(self, message: str, offset: int | None = None) -> WordError:
        return WordError(message, offset=self._position if offset is None else offset)


def _in_name(char: str) -> bool:
    return char == "_" or char.isalpha() or char.isdecimal()
