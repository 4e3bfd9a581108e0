"""A template's text cut into plain text and actions, and an action into tokens (Go's text/template/parse/lex.go)."""

from __future__ import annotations

from sandbox.go_template.errors import TemplateParseError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    TokenKind = Literal["word", "field", "variable", "text", "number", "symbol", "dot", "space"]


_SPACE = " \t\r\n"
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"', "'": "'"}
_HEX_LENGTHS = {"x": 2, "u": 4, "U": 8}


class Token(NamedTuple):
    """`value` is the name of a word, field or variable, the content of a text, the number, or the symbol."""

    kind: TokenKind
    value: str | int | float


class Piece(NamedTuple):
    """Plain text, or the tokens of one action."""

    line: int
    text: str
    tokens: tuple[Token, ...] | None = None


def split_template(source: str) -> list[Piece]:
    """The pieces of `source`, trim markers applied and comments dropped. Raises TemplateParseError."""
    pieces: list[Piece] = []
    position, line, trim_next = 0, 1, False
    while True:
        start = source.find("{{", position)
        text = source[position:] if start < 0 else source[position:start]
        after_text = line + text.count("\n")
        if trim_next:
            text = text.lstrip(_SPACE)
        trims = start >= 0 and source.startswith("{{-", start) and source[start + 3 : start + 4] in tuple(_SPACE)
        if trims:
            text = text.rstrip(_SPACE)
        if text:
            pieces.append(Piece(line, text))
        if start < 0:
            return pieces
        line = after_text
        body_start = start + (3 if trims else 2)
        end, body = _action_end(source, body_start, line)
        trim_next = body[-1:] == "-" and body[-2:-1] in tuple(_SPACE)
        if trim_next:
            body = body[:-1]
        comment = body.strip(_SPACE)
        if not (comment.startswith("/*") and comment.endswith("*/")):
            pieces.append(Piece(line, "", tuple(_tokens(body, line))))
        line += source.count("\n", start, end)
        position = end


def _action_end(source: str, start: int, line: int) -> tuple[int, str]:
    """The offset behind the closing braces, and what lies before them; braces in texts and comments do not close."""
    stripped = source[start:].lstrip(_SPACE)
    if stripped.startswith("/*"):
        comment_start = len(source) - len(stripped)
        close = source.find("*/", comment_start)
        if close < 0:
            raise TemplateParseError(line, "unclosed comment")
        end = source.find("}}", close)
        if end < 0 or source[close + 2 : end].strip(_SPACE) not in ("", "-"):
            raise TemplateParseError(line, "comment ends before closing delimiter")
        return end + 2, source[start:end]
    position = start
    while position < len(source):
        character = source[position]
        if source.startswith("}}", position):
            return position + 2, source[start:position]
        if character in "\"`'":
            position = _text_end(source, position, line)
        else:
            position += 1
    raise TemplateParseError(line, "unclosed action")


def _text_end(source: str, start: int, line: int) -> int:
    """The offset behind the text that begins at `start`."""
    quote = source[start]
    position = start + 1
    while position < len(source):
        character = source[position]
        if character == quote:
            return position + 1
        if character == "\n" and quote != "`":
            break
        position += 2 if character == "\\" and quote != "`" else 1
    kinds = {"`": "raw quoted string", '"': "quoted string", "'": "character constant"}
    raise TemplateParseError(line, f"unterminated {kinds[quote]}")


def _tokens(body: str, line: int) -> Iterator[Token]:
    position = 0
    while position < len(body):
        character = body[position]
        if character in _SPACE:
            end = position
            while end < len(body) and body[end] in _SPACE:
                end += 1
            yield Token("space", " ")
        elif character in "\"`'":
            end = _text_end(body, position, line)
            yield _text_token(body[position:end], line)
        elif character.isdecimal() or (character in "+-." and body[position + 1 : position + 2].isdecimal()):
            end = _word_end(body, position + 1, extra=".+-")
            yield Token("number", _number(body[position:end], line))
        elif character in ".$" or _is_letter(character):
            end = _word_end(body, position + 1)
            yield _name_token(body[position:end], line)
        elif body.startswith(":=", position):
            end = position + 2
            yield Token("symbol", ":=")
        elif character in "()|,=":
            end = position + 1
            yield Token("symbol", character)
        else:
            raise TemplateParseError(line, f"unexpected {character!r} in command")
        position = end


def _is_letter(character: str) -> bool:
    return character == "_" or character.isalpha()


def _word_end(body: str, start: int, extra: str = "") -> int:
    end = start
    while end < len(body) and (_is_letter(body[end]) or body[end].isdecimal() or body[end] in extra):
        if body[end] in "+-" and body[end - 1] not in "eEpP":
            break
        end += 1
    return end


def _name_token(word: str, line: int) -> Token:
    if word == ".":
        return Token("dot", ".")
    if word.startswith("."):
        if word[1].isdecimal():
            raise TemplateParseError(line, f'bad field name "{word}"')
        return Token("field", word[1:])
    if word.startswith("$"):
        return Token("variable", word)
    return Token("word", word)


def _number(text: str, line: int) -> int | float:
    sign, bare = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    try:
        # a base prefix as in Go: 0x1f, 0o17, 0b11, and 017
        if len(bare) > 1 and bare[0] == "0" and bare.isdecimal():
            return sign * int(bare, 8)
        if len(bare) > 400:
            raise ValueError(bare)
        return sign * int(bare, 0)
    except ValueError:
        pass
    try:
        return sign * float(bare)
    except (ValueError, OverflowError):
        raise TemplateParseError(line, f'bad number syntax: "{text}"') from None


def _text_token(quoted: str, line: int) -> Token:
    if quoted[0] == "`":
        return Token("text", quoted[1:-1])
    content = _unescape(quoted[1:-1], line)
    if quoted[0] == "'":
        if len(content) != 1:
            raise TemplateParseError(line, f"malformed character constant: {quoted}")
        return Token("number", ord(content))
    return Token("text", content)


def _unescape(text: str, line: int) -> str:
    found: list[str] = []
    position = 0
    while position < len(text):
        if text[position] != "\\":
            found.append(text[position])
            position += 1
            continue
        letter = text[position + 1 : position + 2]
        if letter in _ESCAPES:
            found.append(_ESCAPES[letter])
            position += 2
            continue
        length = _HEX_LENGTHS.get(letter, 3 if letter.isdecimal() else 0)
        digits = text[position + 2 : position + 2 + length] if letter in _HEX_LENGTHS else text[position + 1 :][:3]
        try:
            if not digits.isalnum() or len(digits) != length or not digits.isascii():
                raise ValueError(digits)
            found.append(chr(int(digits, 16 if letter in _HEX_LENGTHS else 8)))
        except (ValueError, OverflowError):
            raise TemplateParseError(line, f'invalid escape in string: "{text}"') from None
        position += len(digits) + (2 if letter in _HEX_LENGTHS else 1)
    return "".join(found)
