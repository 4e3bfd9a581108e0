"""Go's durations: `1h30m`, `500ms`."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.grammar.sizes import is_decimal

_US, _MS, _S = 1000, 1_000_000, 1_000_000_000
#: both letters that look like a mu are in use
_UNITS_NS = {"ns": 1, "us": _US, "µs": _US, "μs": _US, "ms": _MS, "s": _S, "m": 60 * _S, "h": 3600 * _S}
_LARGEST = 2**63 - 1


def parse_duration(text: str) -> int:
    """Nanoseconds of a Go duration (time.ParseDuration), which may be negative. Raises UsageError."""
    rest = text
    sign = 1
    if rest[:1] in ("-", "+"):
        sign = -1 if rest[0] == "-" else 1
        rest = rest[1:]
    if rest == "0":
        return 0
    if not rest:
        raise UsageError(f"time: invalid duration {text!r}")
    total = 0
    while rest:
        number, unit, rest = _next_part(rest)
        if not is_decimal(number):
            raise UsageError(f"time: invalid duration {text!r}")
        if unit not in _UNITS_NS:
            what = f"unknown unit {unit!r} in" if unit else "missing unit in"
            raise UsageError(f"time: {what} duration {text!r}")
        total += _nanoseconds(number, _UNITS_NS[unit])
    if total > _LARGEST:
        raise UsageError(f"time: invalid duration {text!r}: too long")
    return sign * total


def _next_part(text: str) -> tuple[str, str, str]:
    end = 0
    while end < len(text) and text[end] in "0123456789.":
        end += 1
    stop = end
    while stop < len(text) and text[stop] not in "0123456789.":
        stop += 1
    return text[:end], text[end:stop], text[stop:]


def _nanoseconds(number: str, unit_ns: int) -> int:
    # integers throughout: a float loses nanoseconds above 104 days
    whole, _, fraction = number.partition(".")
    scale: int = 10 ** len(fraction)
    return int(whole or "0") * unit_ns + int(fraction or "0") * unit_ns // scale
