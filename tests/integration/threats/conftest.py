"""Hostile registries, as the image tests have them, and a root file system that their images can run."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from tests.integration.container.conftest import busybox, busybox_home, busybox_tar
from tests.integration.image.conftest import serve

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["busybox", "busybox_home", "busybox_tar", "serve"]


@pytest.fixture(scope="session")
def busybox_layer(busybox_tar: Path) -> bytes:
    """A layer with busybox in it."""
    return gzip.compress(busybox_tar.read_bytes(), mtime=0)
