"""Numbers that know how Docker prints them, and mappings that are values."""

from __future__ import annotations

import re
from typing import TypeVar

from sandbox.grammar.durations import duration_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_V = TypeVar("_V")
_PART = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h|d|w)")
_S = 1_000_000_000
_UNITS_NS = {
    "ns": 1, "us": 1000, "µs": 1000, "μs": 1000, "ms": 1_000_000, "s": _S, "m": 60 * _S, "h": 3600 * _S,
    "d": 24 * 3600 * _S, "w": 7 * 24 * 3600 * _S,
}  # fmt: skip
_LARGEST = 2**63 - 1


class Bytes(int):
    """A size; Docker prints it as a text of digits."""

    def printed(self) -> str:
        """As `config` has it."""
        return str(int(self))


class Nanoseconds(int):
    """A span of time."""

    def printed(self) -> str:
        """As `config` has it: "1m30s"."""
        return duration_text(self)


class Mode(int):
    """Permission bits of a file."""

    def printed(self) -> str:
        """As `config` has it: octal, with a leading zero."""
        return f"0{int(self):o}"


class Pairs(tuple[tuple[str, _V], ...]):
    """A mapping as a value: sorted by name, each name once."""

    __slots__ = ()

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, _V]]) -> Pairs[_V]:
        """The pairs by name; of one name the last value."""
        return cls(sorted(dict(pairs).items(), key=lambda pair: natural_key(pair[0])))

    def value(self, name: str) -> _V | None:
        """What `name` stands for; None where it is not there."""
        return dict(self).get(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self)


def natural_key(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key to sort by as Go's YAML does: web2 stands before web10, and what is no letter before letters."""
    parts: list[tuple[int, int, str]] = []
    for piece in re.findall(r"[0-9]+|[^0-9]", text):
        if piece[0].isascii() and piece[0].isdigit() and len(piece) < 20:
            parts.append((1, int(piece), piece))
        else:
            parts.append((2 if piece[0].isalpha() else 0, 0, piece))
    return tuple(parts)


def parse_duration_ns(text: str) -> int | None:
    """Nanoseconds of "1h30m", days and weeks as well; None where it is no duration."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total, position = 0, 0
    while match := _PART.match(rest, position):
        whole, _, fraction = match[1].partition(".")
        unit = _UNITS_NS[match[2]]
        total += int(whole or "0") * unit + int(fraction or "0") * unit // 10 ** len(fraction)
        position = match.end()
        if len(match[1]) > 30 or total > _LARGEST:
            return None
    return sign * total if rest and position == len(rest) else None


def texts_in(value: object) -> Iterator[str]:
    """The texts of a document of plain values, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
