"""The grammar of `.env` and `env_file`: NAME=value lines with quotes, comments, escapes and variables."""

from __future__ import annotations

import re

from sandbox.stack.errors import ComposeFileError
from sandbox.stack.interpolation import TemplateError, substitute

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_EXPORT = re.compile(r"export[^\S\n]+")
_ESCAPE = re.compile(r'\\([abcfnrtv$"\\]|0[0-7]{0,3})')
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", '"': '"', "\\": "\\"}
#: blanks, but for the end of a line
_BLANKS = "\t\v\f\r \x85\xa0"


def parse_dotenv(text: str, lookup: Callable[[str], str | None], name: str = ".env") -> dict[str, str]:
    """The variables of a file; values may name those above them, and those that `lookup` knows, which go first.

    A bare NAME takes the value that `lookup` has, and is left out where it has none. Raises ComposeFileError, which
    says `name` and the line.
    """
    return _Reader(text, lookup, name).read()


def parse_raw(text: str, name: str) -> dict[str, str]:
    """The lines NAME=value with nothing in them that means anything. Raises ComposeFileError."""
    found: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not equals:
            raise _wrong(name, number, f"{line!r} has no '='")
        found[key] = value
    return found


def _wrong(name: str, line: int, what: str) -> ComposeFileError:
    return ComposeFileError(f"{name}:{line}: {what}", cause="a line is NAME=value, or a comment that begins with #")


class _Reader:
    def __init__(self, text: str, lookup: Callable[[str], str | None], name: str) -> None:
        self._text = text.removeprefix("\ufeff")
        self._lookup = lookup
        self._name = name
        self._position = 0
        self._found: dict[str, str] = {}

    def read(self) -> dict[str, str]:
        while self._skip_to_statement():
            self._statement()
        return self._found

    @property
    def _line(self) -> int:
        return self._text.count("\n", 0, self._position) + 1

    def _skip_to_statement(self) -> bool:
        text = self._text
        while self._position < len(text):
            if text[self._position].isspace():
                self._position += 1
            elif text[self._position] == "#":
                end = text.find("\n", self._position)
                self._position = end if end >= 0 else len(text)
            else:
                return True
        return False

    def _statement(self) -> None:
        text = self._text
        exported = _EXPORT.match(text, self._position)
        start = exported.end() if exported else self._position
        end = start
        while end < len(text) and text[end] not in "=:\n":
            if not (text[end] in _BLANKS or text[end] in "_.-[]" or text[end].isalnum()):
                raise _wrong(
                    self._name,
                    self._line,
                    f"unexpected character {text[end]!r} in variable name {text[start:].partition(chr(10))[0]!r}",
                )
            end += 1
        key = text[start:end].rstrip()
        if " " in key or (end >= len(text) and not key):
            raise _wrong(self._name, self._line, f"a variable's name cannot hold a blank: {key!r}")
        if end >= len(text) or text[end] == "\n":
            self._inherit(key)
            self._position = end
            return
        self._position = end + 1
        while self._position < len(text) and text[self._position] in _BLANKS:
            self._position += 1
        self._found[key] = self._value()

    def _inherit(self, key: str) -> None:
        value = self._lookup(key)
        if value is not None:
            self._found[key] = value

    def _value(self) -> str:
        text = self._text
        if text[self._position : self._position + 1] in ("'", '"'):
            return self._quoted(text[self._position])
        end = text.find("\n", self._position)
        end = end if end >= 0 else len(text)
        raw = text[self._position : end].partition(" #")[0].rstrip()
        value = self._filled(raw)
        self._position = end
        return value

    def _quoted(self, quote: str) -> str:
        text, position = self._text, self._position + 1
        chars: list[str] = []
        while position < len(text) and text[position] != quote:
            if text[position] == "\\" and position + 1 < len(text):
                # an escaped quote is the quote; every other pair is left for `_unescaped`
                pair = text[position : position + 2]
                chars.append(quote if pair[1] == quote else pair)
                position += 2
            else:
                chars.append(text[position])
                position += 1
        if position >= len(text):
            first = text[self._position :].partition("\n")[0]
            raise _wrong(self._name, self._line, f"unterminated quoted value {first}")
        raw = "".join(chars)
        value = self._filled(_unescaped(raw)) if quote == '"' else raw
        self._position = position + 1
        return value

    def _filled(self, raw: str) -> str:
        def lookup(name: str) -> str | None:
            value = self._lookup(name)
            return self._found.get(name) if value is None else value

        try:
            return substitute(raw, lookup)
        except TemplateError as error:
            raise _wrong(self._name, self._line, str(error)) from error


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        escape = match[1]
        if escape == "$":
            # what is filled in next reads $$ as a $
            return "$$"
        if escape[0] == "0":
            return chr(int(escape, 8)) if len(escape) == 4 and int(escape, 8) < 256 else match[0]
        return _ESCAPED.get(escape, match[0])

    return _ESCAPE.sub(one, text)
