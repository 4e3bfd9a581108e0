"""Times as images have them."""

from __future__ import annotations

import pytest

from sandbox.image.recording import parse_time_ns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 10**9),
        ("2015-10-31T22:22:56.015925234Z", 1446330176015925234),
        ("2015-10-31T23:22:56.5+01:00", 1446330176500000000),
        ("0001-01-01T00:00:00Z", 0),
        ("9999-01-01T00:00:00Z", 0),
        ("nonsense", 0),
        ("2015-10-31", 0),
        ("", 0),
        (None, 0),
    ],
)
def test_times(text: str | None, expected: int) -> None:
    assert parse_time_ns(text) == expected
