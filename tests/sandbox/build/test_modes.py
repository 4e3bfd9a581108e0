"""`--chmod` in both its forms."""

from __future__ import annotations

import stat

import pytest

from sandbox.build.modes import read_mode
from sandbox.build.sources import StepError


@pytest.mark.parametrize(
    ("text", "before", "after"),
    [
        ("755", stat.S_IFREG | 0o600, 0o755),
        ("04711", stat.S_IFREG | 0o600, 0o4711),
        ("u=rwX,go=rX", stat.S_IFREG | 0o600, 0o644),
        ("u=rwX,go=rX", stat.S_IFREG | 0o700, 0o755),
        ("u=rwX,go=rX", stat.S_IFDIR | 0o700, 0o755),
        ("+x", stat.S_IFREG | 0o644, 0o755),
        ("go-w", stat.S_IFREG | 0o666, 0o644),
        ("u+s", stat.S_IFREG | 0o755, 0o4755),
        ("a+t", stat.S_IFDIR | 0o777, 0o1777),
    ],
)
def test_modes(text: str, before: int, after: int) -> None:
    assert read_mode(text)(before) == after


@pytest.mark.parametrize("text", ["", "8", "u", "u=q", "z+x", "99999"])
def test_what_is_no_mode(text: str) -> None:
    with pytest.raises(StepError):
        read_mode(text)
