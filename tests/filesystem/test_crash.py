"""A server that is killed: access fails with ENOTCONN, and the next mount finds the old state or the new one."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.filesystem.crash import Crash, copy_up_crash, fsync_crash, rename_crash
from tests.storage.namespace import call_in_namespace

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.requires("subids", "fuse"), pytest.mark.slow]


def _crash(function: Callable[[str, int], Crash], seed: int) -> Crash:
    with tempfile.TemporaryDirectory(prefix="sbx-", dir="/tmp") as place:
        return call_in_namespace(function, place, seed)


def _check(crash: Crash, *allowed: str) -> None:
    assert crash.dead == "ENOTCONN"
    assert crash.found in allowed
    assert crash.left_in_work == []


@pytest.mark.parametrize("seed", range(5))
def test_copy_up_leaves_the_old_file_or_the_new_one(seed: int) -> None:
    _check(_crash(copy_up_crash, seed), "old", "new")


@pytest.mark.parametrize("seed", range(5))
def test_a_renamed_directory_has_one_name_and_all_its_files(seed: int) -> None:
    _check(_crash(rename_crash, seed), "d", "n")


@pytest.mark.parametrize("seed", range(3))
def test_what_was_written_before_fsync_is_there(seed: int) -> None:
    _check(_crash(fsync_crash, seed), "all")


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("crash", [copy_up_crash, rename_crash, fsync_crash])
def test_many_crashes(crash: Callable[[str, int], Crash]) -> None:
    for seed in range(100, 160):
        _check(_crash(crash, seed), "old", "new", "d", "n", "all")
