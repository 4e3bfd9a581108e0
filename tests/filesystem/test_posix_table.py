"""Each operation and each errno, on a plain directory, the kernel's overlay and ours: tables/*.txt has the rows.

A plain directory is the truth: the rows hold there, and the tree that a row leaves must be the one it leaves there.
Each row is tried on objects of a lower layer, of the upper directory, and merged of three; then the file system is
mounted anew, and everything must be there still.
"""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

import pytest

from tests.filesystem.call_list import CALLS
from tests.filesystem.differences import DIFFERENCES, known_difference
from tests.filesystem.origins import ORIGINS
from tests.filesystem.snapshot import differences
from tests.filesystem.table_run import Row, TableRun, parse_table, run_table
from tests.storage.namespace import call_in_namespace

TABLES = sorted((Path(__file__).parent / "tables").glob("*.txt"))
ROWS: list[Row] = [row for table in TABLES for row in parse_table(table.read_text())]
STANDS = ("plain", "kernel", "sandbox-overlay")
_NEEDS = {"plain": (), "kernel": ("overlay",), "sandbox-overlay": ("fuse",)}


@functools.cache
def _run(stand: str) -> TableRun | BaseException:
    """What happened on the file system, or why nothing did: found out once for all rows."""
    try:
        with tempfile.TemporaryDirectory(prefix="sbx-", dir="/tmp") as place:
            return call_in_namespace(run_table, place, stand, ROWS)
    except Exception as error:  # noqa: BLE001  # raised again for each row
        return error


def _happened(stand: str) -> TableRun:
    run = _run(stand)
    if isinstance(run, BaseException):
        raise run
    return run


@pytest.mark.requires("subids")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.title)
@pytest.mark.parametrize(
    "stand", [pytest.param(name, marks=pytest.mark.requires(*_NEEDS[name])) for name in STANDS]
)  # fmt: skip
def test_row(stand: str, row: Row) -> None:
    truth, run = _happened("plain"), _happened(stand)
    problems, stale = [], []
    for origin in ORIGINS:
        found = _problems(truth, run, row.title, origin)
        reason = known_difference(stand, row.title, origin)
        if reason is None:
            problems += [f"{origin}: {line}" for line in found]
        elif not found and stand != "kernel":
            stale.append(origin)
    assert problems == []
    assert stale == [], "holds, and stands in differences.py"


def _problems(truth: TableRun, run: TableRun, title: str, origin: str) -> list[str]:
    happened = run.happened[title, origin]
    lines = list(happened.wrong)
    lines += [f"tree: {line}" for line in differences(truth.happened[title, origin].tree, happened.tree)]
    lines += [f"new mount: {line}" for line in differences(happened.tree, run.remounted[title, origin])]
    return lines


def test_the_table_makes_sense() -> None:
    titles = [row.title for row in ROWS]
    assert len(titles) == len(set(titles))
    assert {step.call for row in ROWS for step in row.steps} <= CALLS.keys()
    assert {title for known in DIFFERENCES.values() for title in known} <= set(titles)
