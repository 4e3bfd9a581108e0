"""Filters and times of listings."""

from __future__ import annotations

import calendar
import datetime
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.errors import SandboxError, UsageError
from sandbox.grammar.filters import FilterError, parse_filters, parse_time

KEYS = frozenset({"name", "label", "status", "dangling"})


def test_one_key_repeated_is_or() -> None:
    filters = parse_filters(["status=running", "status=exited"], KEYS)
    assert filters.match_exact("status", "exited")
    assert not filters.match_exact("status", "created")
    assert filters.match_exact("name", "anything")


def test_labels_are_and() -> None:
    filters = parse_filters(["label=a", "label=b=2"], KEYS)
    assert filters.match_labels({"a": "1", "b": "2"})
    assert not filters.match_labels({"a": "1"})
    assert not filters.match_labels({"a": "1", "b": "3"})


def test_labels_can_be_forbidden() -> None:
    filters = parse_filters(["label!=a"], KEYS | {"label!"})
    assert filters.match_labels({"b": ""}, "label!")
    assert not filters.match_labels({"a": ""}, "label!")


def test_an_unknown_key_is_an_error() -> None:
    with pytest.raises(FilterError, match="invalid filter 'foo'") as caught:
        parse_filters(["foo=bar"], KEYS)
    assert caught.value.kind == "bad_filter"
    with pytest.raises(UsageError):
        parse_filters(["foo"], KEYS)


def test_flags() -> None:
    assert parse_filters(["dangling=true"], KEYS).flag("dangling") is True
    assert parse_filters([], KEYS).flag("dangling") is None
    with pytest.raises(FilterError):
        parse_filters(["dangling=maybe"], KEYS).flag("dangling")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("1136073845", 1136073845 * 10**9),
        ("1136073845.000000001", 1136073845 * 10**9 + 1),
        ("2026-01-02T15:04:05Z", calendar.timegm((2026, 1, 2, 15, 4, 5)) * 10**9),
        ("2026-01-02T15:04:05.5Z", calendar.timegm((2026, 1, 2, 15, 4, 5)) * 10**9 + 500_000_000),
        ("2026-01-02T15:04:05+02:00", calendar.timegm((2026, 1, 2, 13, 4, 5)) * 10**9),
        ("2026-01-02T15:04:05-02:30", calendar.timegm((2026, 1, 2, 17, 34, 5)) * 10**9),
        ("2024-02-29Z", calendar.timegm((2024, 2, 29, 0, 0, 0)) * 10**9),
        ("10m", 10**18 - 600 * 10**9),
        ("1h30m", 10**18 - 5400 * 10**9),
    ],
)
def test_times(text: str, expected: int) -> None:
    assert parse_time(text, 10**18) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "-", "2026-01-02T25:00Z", "1x"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(FilterError):
        parse_time(text, 0)


@given(st.one_of(st.text(max_size=30), st.text(alphabet="0123456789-:T.Z+hms", max_size=30)))
def test_no_time_raises_anything_else(text: str) -> None:
    with suppress(SandboxError):
        parse_time(text, 0)


@given(st.dates(min_value=datetime.date(1970, 1, 1)))
def test_every_day_is_counted(day: datetime.date) -> None:
    expected = (day - datetime.date(1970, 1, 1)).days * 86400 * 10**9
    assert parse_time(f"{day.isoformat()}T00:00:00Z", 0) == expected
