"""A root file system for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.runtime.containers import make_root, remove_root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A tree with busybox in /bin; files of subordinate ids below `tmp_path` are removed with it."""
    yield make_root(tmp_path / "root")
    remove_root(tmp_path)
