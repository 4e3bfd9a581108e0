"""Limits of setrlimit(2) that are out of a user's reach."""

from __future__ import annotations

from resource import RLIM_INFINITY, RLIMIT_MEMLOCK

import pytest

from sandbox.runtime.resource_limits import within_reach
from sandbox.runtime.spec import ResourceLimit


@pytest.mark.parametrize(
    ("asked", "allowed", "had"),
    [
        ((RLIM_INFINITY, RLIM_INFINITY), 65536, (65536, 65536)),
        ((10, RLIM_INFINITY), 65536, (10, 65536)),
        ((10, 20), 65536, (10, 20)),
        ((70000, 80000), 65536, (65536, 65536)),
        ((RLIM_INFINITY, RLIM_INFINITY), RLIM_INFINITY, (RLIM_INFINITY, RLIM_INFINITY)),
        ((10, 20), RLIM_INFINITY, (10, 20)),
    ],
)
def test_no_more_than_is_allowed(asked: tuple[int, int], allowed: int, had: tuple[int, int]) -> None:
    assert within_reach(ResourceLimit(RLIMIT_MEMLOCK, *asked), allowed) == ResourceLimit(RLIMIT_MEMLOCK, *had)
