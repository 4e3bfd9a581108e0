"""Which name was meant."""

from __future__ import annotations

import pytest

from sandbox.near_names import nearest


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("wbe", ("web", "db"), "web"),
        ("WEB", ("web",), "web"),
        ("web", ("web",), ""),
        ("RNU", ("ENV", "RUN"), "RUN"),
        ("a", ("b",), ""),
        ("", ("b",), ""),
        ("x" * 1000, ("x" * 999,), ""),
        ("demo", ("demo-web",), "demo-web"),
        ("xyzzy", ("web", "database"), ""),
        ("web", (), ""),
    ],
)
def test_nearest(word: str, known: tuple[str, ...], expected: str) -> None:
    assert nearest(word, known) == expected
