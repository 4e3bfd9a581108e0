"""Which name was meant."""

from __future__ import annotations

import pytest

from sandbox import near_names
from sandbox.near_names import nearest


@pytest.mark.parametrize(
    ("word", "known", "expected"),
    [
        ("wbe", ("web", "db"), "web"),
        ("WEB", ("web",), "web"),
        ("web", ("web",), ""),
        ("RNU", ("ENV", "RUN"), "RUN"),
        ("rum", ("rm", "rmi", "run"), "run"),
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


def test_of_very_many_names_few_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile registry may have any number of tags, and a context of files."""
    compared: list[str] = []
    distance = near_names._distance

    def counted(one: str, other: str) -> int:
        compared.append(other)
        return distance(one, other)

    monkeypatch.setattr(near_names, "_distance", counted)
    names = [f"release-{number:06d}" for number in range(50_000)]
    assert nearest("release-04999x", names) in names[49_990:]
    assert nearest("RELEASE-000007", names) == "release-000007"
    assert 0 < len(compared) <= 500
