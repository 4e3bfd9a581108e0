"""Patterns of paths, as `.dockerignore` and `--exclude` have them: moby's patternmatcher.

`*` and `?` stay within one part of a path, `[a-z]` is a class, `**` is any number of parts, a backslash quotes. A
pattern without wildcards, or with `**` at one end only, is a comparison. Others are searched for by Python's `re` as
long as that cannot take long; a pattern with many stars, for which backtracking would be exponential, is run as a set
of states, in time by the path's length.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sandbox.dockerfile.errors import WordError

#: with more than these many stars `re` might try too many ways to share a path among them
_FEW_STARS = 2


class _Star(NamedTuple):
    """`*`: any text without a slash."""


class _Parts(NamedTuple):
    """`**`: nothing, or any text that ends in a slash; `last`, at the end of a pattern, any text."""

    last: bool
    #: written `**/`
    slash: bool


class _Class(NamedTuple):
    """One character of (or outside) these ranges; `?` is the class outside "/"."""

    ranges: tuple[tuple[str, str], ...]
    outside: bool

    def has(self, char: str) -> bool:
        return any(low <= char <= high for low, high in self.ranges) != self.outside


_Token = str | _Star | _Parts | _Class
_ANY = _Class((("/", "/"),), outside=True)


class PathPattern:
    """One cleaned pattern; raises WordError where its syntax is bad."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._tokens = _read(pattern)
        stars = sum(isinstance(token, _Star | _Parts) for token in self._tokens)
        self._literal = all(isinstance(token, str) for token in self._tokens)
        self._ends = _plain_ends(self._tokens)
        self._regex = None
        self._states = None
        if not self._literal and self._ends is None:
            if stars <= _FEW_STARS:
                self._regex = re.compile("".join(map(_to_regex, self._tokens)), re.DOTALL)
            else:
                self._states = _States(self._tokens)

    def matches(self, path: str) -> bool:
        if self._literal:
            return path == self.pattern
        if self._ends is not None:
            prefix, suffix = self._ends
            # **/a is also a itself
            return path.startswith(prefix) and (path.endswith(suffix) or (suffix[:1] == "/" and path == suffix[1:]))
        if self._states is not None:
            return self._states.match(path)
        assert self._regex is not None
        return self._regex.fullmatch(path) is not None

    def matches_or_above(self, path: str) -> bool:
        """Whether `path` or a directory above it matches."""
        if self._states is not None:
            return self._states.match(path, above=True)
        if self.matches(path):
            return True
        slash = path.find("/")
        while slash >= 0:
            if self.matches(path[:slash]):
                return True
            slash = path.find("/", slash + 1)
        return False


def _plain_ends(tokens: tuple[_Token, ...]) -> tuple[str, str] | None:
    """(prefix, suffix) for `a**` and `**a`: there the end of the text alone decides, `**a` matching "ba" too."""
    if not all(isinstance(token, str | _Parts) for token in tokens):
        return None
    text = "".join(token for token in tokens if isinstance(token, str))
    stars = [i for i, token in enumerate(tokens) if isinstance(token, _Parts)]
    if stars == [0]:
        slash = any(isinstance(token, _Parts) and token.slash for token in tokens)
        return "", "/" * slash + text
    if stars == [len(tokens) - 1]:
        return text, ""
    return None


def _read(pattern: str) -> tuple[_Token, ...]:
    tokens: list[_Token] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*":
            token, position = _read_star(pattern, position)
            # two in a row say no more than the second
            if tokens and isinstance(tokens[-1], _Parts) and isinstance(token, _Parts):
                tokens.pop()
            tokens.append(token)
        elif char == "?":
            tokens.append(_ANY)
        elif char == "[":
            found, position = _read_class(pattern, position)
            tokens.append(found)
        elif char == "\\":
            if position == len(pattern):
                raise _bad(pattern, "a backslash at its end quotes nothing")
            # quoted, so that the pattern's own text is not what is compared
            tokens.append(_Class(((pattern[position], pattern[position]),), outside=False))
            position += 1
        else:
            tokens.append(char)
    return tuple(tokens)


def _read_star(pattern: str, position: int) -> tuple[_Token, int]:
    if not pattern.startswith("*", position):
        return _Star(), position
    position += 1
    slash = pattern.startswith("/", position)
    position += slash
    last = position == len(pattern)
    return _Parts(last, slash), position


def _read_class(pattern: str, position: int) -> tuple[_Class, int]:
    outside = pattern.startswith("^", position)
    position += outside
    ranges: list[tuple[str, str]] = []
    while not (ranges and pattern.startswith("]", position)):
        low, position = _read_bound(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _read_bound(pattern, position + 1)
        if high < low:
            raise _bad(pattern, f"the range {low}-{high} is empty")
        ranges.append((low, high))
    return _Class(tuple(ranges), outside), position + 1


def _read_bound(pattern: str, position: int) -> tuple[str, int]:
    char = pattern[position : position + 1]
    if char == "\\":
        position += 1
        char = pattern[position : position + 1]
    elif char in ("-", "]"):
        raise _bad(pattern, f"{char} in a class is written \\{char}")
    if not char:
        raise _bad(pattern, "a class is not closed")
    return char, position + 1


def _bad(pattern: str, why: str) -> WordError:
    return WordError(f"invalid pattern {pattern!r}: {why}")


def _to_regex(token: _Token) -> str:
    if isinstance(token, str):
        return re.escape(token)
    if isinstance(token, _Star):
        return "[^/]*"
    if isinstance(token, _Parts):
        return ".*" if token.last else "(?:.*/)?"
    ranges = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in token.ranges)
    return f"[{'^' if token.outside else ''}{ranges}]"


class _States:
    """The tokens as bits: bit i of a set of states says that i tokens are done."""

    def __init__(self, tokens: tuple[_Token, ...]) -> None:
        self._tokens = tokens
        self._done = 1 << len(tokens)
        self._stars = self._bits(_Star)
        self._parts = self._bits(_Parts)
        self._last = sum(1 << i for i, token in enumerate(tokens) if isinstance(token, _Parts) and token.last)
        self._takers: dict[str, int] = {}

    def match(self, path: str, *, above: bool = False) -> bool:
        """Whether the tokens take the whole path, or with `above` a directory above it."""
        states, inside = self._skip(1), 0
        for char in path:
            if char == "/" and above and states & self._done:
                return True
            inside |= states & self._parts
            after = (states & self._taking(char)) << 1
            if char == "/":
                after |= inside << 1
            else:
                after |= states & self._stars | (inside & self._last) << 1
            states = self._skip(after)
            if not states and not inside:
                return False
        return bool(states & self._done)

    def _bits(self, kind: type) -> int:
        return sum(1 << i for i, token in enumerate(self._tokens) if isinstance(token, kind))

    def _taking(self, char: str) -> int:
        """The tokens that take `char` and are done with it."""
        found = self._takers.get(char)
        if found is None:
            takes = (token.has(char) if isinstance(token, _Class) else token == char for token in self._tokens)
            found = self._takers[char] = sum(1 << i for i, taken in enumerate(takes) if taken)
        return found

    def _skip(self, states: int) -> int:
        """With each state those reached by letting stars match nothing; never more than three stand together."""
        while (more := states | (states & (self._stars | self._parts)) << 1) != states:
            states = more
        return states
