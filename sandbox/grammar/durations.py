"""Go's durations: `1h30m`, `500ms`, both ways."""

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


def duration_text(value_ns: int) -> str:
    """A duration as Go shows it (Duration.String): "1m30s", "1.5s", "500ms", "0s"."""
    sign, rest = ("-", -value_ns) if value_ns < 0 else ("", value_ns)
    if rest < _S:
        unit, size = next(((name, size) for name, size in (("ms", _MS), ("µs", _US)) if rest >= size), ("ns", 1))
        return f"{sign}{_decimal(rest, size)}{unit}" if rest else "0s"
    minutes, seconds_ns = divmod(rest, 60 * _S)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{text}{_decimal(seconds_ns, _S)}s"


def _decimal(value_ns: int, unit_ns: int) -> str:
    whole, part = divmod(value_ns, unit_ns)
    digits = len(str(unit_ns)) - 1
    return f"{whole}.{part:0{digits}d}".rstrip("0") if part else str(whole)


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
