"""Real programs on the overlay: git, pip, SQLite, make, rsync, PostgreSQL."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import pytest

from tests.filesystem import programs
from tests.storage.namespace import call_in_namespace

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.requires("subids", "fuse"), pytest.mark.slow]


def _run(function: Callable[..., str], *arguments: object) -> str:
    with tempfile.TemporaryDirectory(prefix="sbx-", dir="/tmp") as place:
        return call_in_namespace(programs.run_program, place, function, *arguments)


@pytest.mark.requires("git")
@pytest.mark.parametrize(
    "objects", [800, pytest.param(20_000, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)  # fmt: skip
def test_git(objects: int) -> None:
    assert _run(programs.use_git, objects) == ""


def test_pip() -> None:
    assert _run(programs.use_pip) == ""


@pytest.mark.parametrize("rows", [60, pytest.param(2000, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_sqlite_with_four_writers(rows: int) -> None:
    assert _run(programs.use_sqlite, rows) == ""


@pytest.mark.requires("gcc", "make")
@pytest.mark.parametrize("units", [8, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(900)])])
def test_make(units: int) -> None:
    assert _run(programs.use_make, units) == ""


@pytest.mark.requires("rsync", "acl")
def test_rsync() -> None:
    assert _run(programs.use_rsync) == ""


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.requires("postgresql")
def test_postgresql() -> None:
    assert _run(programs.use_postgresql, 30) == ""
