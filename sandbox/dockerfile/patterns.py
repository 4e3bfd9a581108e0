"""Shell patterns of `${v#p}`, `${v%p}` and `${v/p/r}`: `*` is any text, `?` any character, `\\` quotes one of these.

A pattern is kept as the pieces between its stars, and matched by finding each piece as early as it goes (the last as
late, where the longest is wanted); no piece is ever tried again, so no pattern is slow. Unlike the regular
expressions BuildKit makes of patterns, `*` and `?` take a line feed too, as POSIX says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.dockerfile.errors import WordError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: stands for `?` inside a piece; a Dockerfile's text never holds it, surrogates being kept for bytes from 0x80
_ANY = "\ud800"


class Pattern(NamedTuple):
    """The pieces between stars: one piece is a pattern without a star, "a*" is the pieces "a" and ""."""

    pieces: tuple[str, ...]

    def reversed(self) -> Pattern:
        return Pattern(tuple(piece[::-1] for piece in self.pieces[::-1]))


def read_pattern(text: str) -> Pattern:
    """Raises WordError for a backslash before anything but `*`, `?`, `\\`, and `}` and `/`, which end patterns."""
    pieces: list[list[str]] = [[]]
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char == "*":
            if pieces[-1] or len(pieces) == 1:
                pieces.append([])
        elif char == "?":
            pieces[-1].append(_ANY)
        elif char == "\\":
            quoted = text[position : position + 1]
            if quoted not in ("*", "?", "\\", "}", "/"):
                raise WordError(f"invalid pattern ({text}) in substitution: a backslash quotes one of * ? \\ / }}")
            pieces[-1].append(quoted)
            position += 1
        else:
            pieces[-1].append(char)
    return Pattern(tuple("".join(piece) for piece in pieces))


def trim_prefix(pattern: Pattern, value: str, *, longest: bool) -> str:
    """`value` without the shortest or longest prefix that matches."""
    end = _match_at(pattern, value, 0, longest=longest)
    return value if end is None else value[end:]


def trim_suffix(pattern: Pattern, value: str, *, longest: bool) -> str:
    """`value` without the shortest or longest suffix that matches."""
    return trim_prefix(pattern.reversed(), value[::-1], longest=longest)[::-1]


def replace_matches(pattern: Pattern, value: str, replacement: str, *, every: bool, longest: int) -> str | None:
    """`value` with the first match, or every one, replaced; None where that is longer than `longest`."""
    piece = pattern.pieces[0]
    if len(pattern.pieces) == 1 and piece and _ANY not in piece:
        count = value.count(piece) if every else 1
        fits = len(value) + count * (len(replacement) - len(piece)) <= longest
        return value.replace(piece, replacement, count) if fits else None
    parts: list[str] = []
    position = length = 0
    for begin, end in find_matches(pattern, value, every=every):
        parts += [value[position:begin], replacement]
        length += begin - position + len(replacement)
        position = end
        if length > longest:
            return None
    return "".join([*parts, value[position:]])


def find_matches(pattern: Pattern, value: str, *, every: bool) -> Iterator[tuple[int, int]]:
    """Where the pattern matches: the first place, or all from left to right, each as long as it can be."""
    position, least = 0, 0
    while position <= len(value):
        start = _find(pattern.pieces[0], value, position)
        end = None if start < 0 else _match_at(pattern, value, start, longest=True)
        if end is None:
            # with a star: what the rest did not find after this start, it finds after no later one
            break
        # an empty match right behind another match is none, as in Go
        if end > start or start >= least:
            yield start, end
        if not every:
            break
        least = end + 1 if end > start else start + 1
        position = end if end > start else start + 1


def _match_at(pattern: Pattern, value: str, start: int, *, longest: bool) -> int | None:
    """Where the match that begins at `start` ends, or None."""
    first, *rest = pattern.pieces
    if not _stands(first, value, start):
        return None
    position = start + len(first)
    if not rest:
        return position
    for piece in rest[:-1]:
        position = _find(piece, value, position)
        if position < 0:
            return None
        position += len(piece)
    last = rest[-1]
    begin = _find_last(last, value, position) if longest else _find(last, value, position)
    return None if begin < 0 else begin + len(last)


def _stands(piece: str, value: str, position: int) -> bool:
    if _ANY not in piece:
        return value.startswith(piece, position)
    if position + len(piece) > len(value):
        return False
    return all(p in (c, _ANY) for p, c in zip(piece, value[position : position + len(piece)], strict=True))


def _find(piece: str, value: str, position: int) -> int:
    if _ANY not in piece:
        return value.find(piece, position)
    return next((i for i in range(position, len(value) - len(piece) + 1) if _stands(piece, value, i)), -1)


def _find_last(piece: str, value: str, least: int) -> int:
    if _ANY not in piece:
        return value.rfind(piece, least)
    return next((i for i in range(len(value) - len(piece), least - 1, -1) if _stands(piece, value, i)), -1)
