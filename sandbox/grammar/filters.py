"""`-f key=value` of listings: keys are known, one key repeated is "or", labels and different keys are "and"."""

from __future__ import annotations

from sandbox.errors import SandboxError, UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping


class FilterError(SandboxError):
    """A filter that a listing does not know, or a value that it cannot read: status 1, as Docker's engine answers."""

    kind = "bad_filter"


class Filters(NamedTuple):
    """The values given, by key, in the order given."""

    values: Mapping[str, tuple[str, ...]]

    def given(self, key: str) -> bool:
        return key in self.values

    def of(self, key: str) -> tuple[str, ...]:
        return self.values.get(key, ())

    def match(self, key: str, accepts: Callable[[str], bool]) -> bool:
        """Whether one of the values of `key` is accepted, or none was given."""
        return key not in self.values or any(accepts(value) for value in self.values[key])

    def match_exact(self, key: str, *texts: str) -> bool:
        """Whether one of `texts` was asked for, or nothing was."""
        return self.match(key, lambda value: value in texts)

    def match_labels(self, labels: Mapping[str, str], key: str = "label") -> bool:
        """Whether `labels` has every one asked for: `name`, or `name=value`; with key "label!", none of them."""
        found = [_has_label(labels, value) for value in self.of(key)]
        return not any(found) if key.endswith("!") else all(found)

    def flag(self, key: str) -> bool | None:
        """The truth asked for under `key`; None where it was not given. Raises FilterError."""
        if key not in self.values:
            return None
        words = {"1": True, "true": True, "t": True, "0": False, "false": False, "f": False}
        asked = {words.get(value.lower()) for value in self.values[key]}
        if None in asked or len(asked) != 1:
            raise FilterError(f"invalid filter '{key}={self.values[key][-1]}'", mend=f"--filter {key}=true")
        return asked.pop()


def _has_label(labels: Mapping[str, str], text: str) -> bool:
    name, equals, value = text.partition("=")
    return name in labels and (not equals or labels[name] == value)


def parse_filters(texts: Iterable[str], keys: Collection[str]) -> Filters:
    """The filters in `texts`. Raises UsageError for a text without "=", FilterError for a key that is not in `keys`."""
    found: dict[str, tuple[str, ...]] = {}
    for text in filter(None, texts):
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError(
                f'invalid argument "{text}" for "-f, --filter" flag: bad format of filter (expected name=value)',
                mend="-f key=value",
            )
        key, value = key.strip().lower(), value.strip()
        if key == "label!" or (key.endswith("!") and key[:-1] in keys and "label!" in keys):
            key = "label!"
        if key not in keys:
            raise FilterError(f"invalid filter '{key}'", mend=f"use one of {', '.join(sorted(keys))}")
        found[key] = (*found.get(key, ()), value)
    return Filters(found)


def parse_time(text: str, now_ns: int) -> int:
    """Unix time in ns of a time as `until`, `since` and `--since` take it. Raises FilterError.

    Unix seconds with an optional fraction, RFC 3339 with parts left out (local time without a zone), or a Go duration,
    which is a time that long ago.
    """
    from sandbox.grammar.durations import parse_duration
    from sandbox.grammar.sizes import is_decimal

    if is_decimal(text) and not text.startswith(".") and len(text) < 40:
        whole, _, fraction = text.partition(".")
        return int(whole) * 10**9 + int(fraction[:9].ljust(9, "0") or "0")
    if "-" in text[1:] or "T" in text:
        return _parse_rfc3339(text)
    try:
        return now_ns - parse_duration(text)
    except UsageError:
        raise _unreadable(text) from None


def _unreadable(text: str) -> FilterError:
    return FilterError(
        f"failed to parse value as time or duration: {text!r}", mend="use 10m, 2026-01-02T15:04:05Z or Unix seconds"
    )


def _parse_rfc3339(text: str) -> int:
    """ "2026-01-02", "2026-01-02T15:04", "2026-01-02T15:04:05.5Z", "…+02:00"."""
    import time

    clock, offset_seconds = _split_zone(text)
    clock, _, fraction = clock.partition(".")
    if fraction and not (fraction.isascii() and fraction.isdigit()):
        raise _unreadable(text)
    date, _, day_time = clock.partition("T")
    numbers = [*date.split("-"), *(day_time.split(":") if day_time else ())]
    if not 3 <= len(numbers) <= 6 or not all(n.isascii() and n.isdigit() and len(n) <= 4 for n in numbers):
        raise _unreadable(text)
    year, month, day, hour, minute, second = [int(n) for n in numbers] + [0] * (6 - len(numbers))
    if not (year >= 1970 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
        raise _unreadable(text)
    if offset_seconds is None:
        seconds = int(time.mktime((year, month, day, hour, minute, second, 0, 0, -1)))
    else:
        # timegm without the calendar module: days since the epoch by the civil calendar
        seconds = _days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset_seconds
    return seconds * 10**9 + int(fraction[:9].ljust(9, "0") if fraction else "0")


def _split_zone(text: str) -> tuple[str, int | None]:
    if text.endswith("Z"):
        return text[:-1], 0
    place = max(text.rfind("+"), text.rfind("-") if "T" in text else -1)
    if place < text.find("T") or place < 0:
        return text, None
    hours, _, minutes = text[place + 1 :].partition(":")
    if not (hours.isascii() and hours.isdigit() and minutes.isascii() and minutes.isdigit()):
        raise _unreadable(text)
    if len(hours) != 2 or len(minutes) != 2:
        raise _unreadable(text)
    size = int(hours) * 3600 + int(minutes) * 60
    return text[:place], -size if text[place] == "-" else size


def _days_since_epoch(year: int, month: int, day: int) -> int:
    # March is the first month: then the leap day comes last, and months follow a pattern of 153 days in five
    year -= month <= 2
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return year * 365 + year // 4 - year // 100 + year // 400 + of_year - 719468
