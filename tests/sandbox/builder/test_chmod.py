"""`--chmod` in both its forms."""

from __future__ import annotations

import stat

import pytest

from sandbox.builder.sources.copy_sources import StepError
from sandbox.builder.steps.chmod import read_mode


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
        ("o+t", stat.S_IFDIR | 0o777, 0o777),
        ("=rx", stat.S_IFDIR | 0o1777, 0o1555),
        ("u=rwx,go=u-w", stat.S_IFREG | 0o600, 0o755),
        ("go=u", stat.S_IFREG | 0o4750, 0o4777),
        ("g=o", stat.S_IFREG | 0o2771, 0o2711),
        ("u-s+w", stat.S_IFREG | 0o4555, 0o755),
        ("go=", stat.S_IFREG | 0o2777, 0o700),
        ("=rw,+X", stat.S_IFREG | 0o755, 0o777),
        ("-X", stat.S_IFREG | 0o755, 0o644),
        ("00000644", stat.S_IFREG | 0o755, 0o644),
    ],
)
def test_modes(text: str, before: int, after: int) -> None:
    assert read_mode(text)(before) == after


@pytest.mark.parametrize("text", ["", "8", "u", "u=q", "z+x", "99999", "u=r,", "u=5", "777777", "u+r w"])
def test_what_is_no_mode(text: str) -> None:
    with pytest.raises(StepError):
        read_mode(text)
