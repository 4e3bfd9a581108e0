"""The small image of the container tests, and projects made of it."""

from __future__ import annotations

from tests.integration.container.conftest import busybox, busybox_home, busybox_tar, eventually

__all__ = ["busybox", "busybox_home", "busybox_tar", "eventually"]
