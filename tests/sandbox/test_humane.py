"""Sizes, times and texts against what Docker prints."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.cli.output.table import render_table
from sandbox.humane import (
    ago,
    display_width,
    ellipsis,
    human_duration,
    human_size,
    printable,
    quoted,
    quoted_command,
    rfc3339,
    short_id,
)

MINUTE, HOUR, DAY = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.4, "Less than a second"), (1, "1 second"), (45, "45 seconds"), (60, "About a minute"),
        (180, "3 minutes"), (1.4 * HOUR, "About an hour"), (3 * HOUR, "3 hours"), (47 * HOUR, "47 hours"),
        (48 * HOUR, "2 days"), (13 * DAY, "13 days"), (14 * DAY, "2 weeks"), (35 * DAY, "5 weeks"),
        (60 * DAY, "2 months"),
        (13 * 30 * DAY, "13 months"), (729 * DAY, "24 months"), (730 * DAY, "2 years"), (3 * 365 * DAY, "3 years"),
    ],
)  # fmt: skip
def test_durations(seconds: float, expected: str) -> None:
    assert human_duration(seconds) == expected


def test_ago() -> None:
    assert ago(10**18, 10**18 + 7200 * 10**9) == "2 hours ago"
    assert ago(0, 10**18) == "N/A"


@pytest.mark.parametrize(
    ("size", "digits", "expected"),
    [
        (0, 4, "0B"), (1, 4, "1B"), (1000, 4, "1kB"), (1024, 4, "1.024kB"), (1000000, 4, "1MB"),
        (1048576, 4, "1.049MB"),
        (3.42 * 10**9, 4, "3.42GB"), (7_654_321, 3, "7.65MB"), (999_900_000, 3, "1GB"), (999_999_999, 4, "1000MB"),
        (10**30, 4, "1000000YB"),
    ],
)  # fmt: skip
def test_decimal_sizes(size: float, digits: int, expected: str) -> None:
    assert human_size(size, digits) == expected


def test_commands_are_cut_and_quoted() -> None:
    assert quoted_command(("/bin/sh", "-c", "echo hello world")) == '"/bin/sh -c \'echo he…"'
    assert quoted_command(("sh",)) == '"sh"'
    assert quoted_command(("sh", "-c", 'a"b\n\x1b[2J'), truncate=False) == '"sh -c a\\"b\\n\\x1b[2J"'


def test_ids_are_shortened() -> None:
    assert short_id("sha256:0123456789abcdef") == "0123456789ab"
    assert short_id("0123456789abcdef") == "0123456789ab"


def test_nothing_steers_the_terminal() -> None:
    assert printable("a\x1b]0;x\x07\u202eb\r\n") == "a\\x1b]0;x\\a\\u202eb\\r\\n"
    assert printable("née ✓") == "née ✓"
    assert "\x1b" not in render_table([["A", "B"], ["\x1b[31m", "x"]])


def test_times_as_json_has_them() -> None:
    assert rfc3339(0) == "0001-01-01T00:00:00Z"
    assert rfc3339(1_136_073_845_000_000_000) == "2006-01-01T00:04:05Z"
    assert rfc3339(1_136_073_845_500_000_000) == "2006-01-01T00:04:05.5Z"


def test_columns() -> None:
    table = render_table([["ID", "NAME", "X"], ["abc", "a-long-name", "y"], ["d", "日本", "z"]])
    assert table == "ID        NAME          X\nabc       a-long-name   y\nd         日本          z\n"
    assert render_table([]) == ""


@given(st.text(), st.integers(0, 40))
def test_ellipsis_keeps_its_width(text: str, width: int) -> None:
    assert display_width(ellipsis(text, width)) <= max(width, 2)


@given(st.text(alphabet=st.characters()))
def test_printable_is_printable(text: str) -> None:
    assert printable(text).isprintable()
    assert quoted(text).isprintable()
