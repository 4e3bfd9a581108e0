"""The database at its first use: made whole, or not there."""

from __future__ import annotations

import multiprocessing
import os
from typing import TYPE_CHECKING

import pytest

from sandbox.errors import HostError
from sandbox.paths import Paths
from sandbox.schema import MIGRATIONS
from sandbox.state import SCHEMA_VERSION, connect_state

if TYPE_CHECKING:
    from pathlib import Path


def paths_in(root: Path) -> Paths:
    root.mkdir()
    return Paths(str(root), str(root), str(root))


def _use(paths: Paths, start: tuple[int, int], answers: multiprocessing.SimpleQueue[str]) -> None:
    os.close(start[1])
    # ends for everybody at once, when the test closes its end
    os.read(start[0], 1)
    try:
        connection = connect_state(paths)
        connection.execute("INSERT OR REPLACE INTO setting (key, value) VALUES ('a', 'b')")
        connection.close()
    except HostError as error:
        answers.put(str(error.cause))
    else:
        answers.put("fine")


@pytest.mark.slow
def test_many_first_users_at_once_all_get_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    for number in range(30):
        paths = paths_in(tmp_path / str(number))
        answers: multiprocessing.SimpleQueue[str] = context.SimpleQueue()
        start = os.pipe()
        users = [context.Process(target=_use, args=(paths, start, answers)) for _ in range(8)]
        for user in users:
            user.start()
        for end in start:
            os.close(end)
        assert [answers.get() for _ in users] == ["fine"] * 8
        for user in users:
            user.join()


@pytest.mark.parametrize("left", ["state.db", "state.db.new", "state.db.new-wal"])
def test_what_a_killed_first_use_left_is_no_hindrance(tmp_path: Path, left: str) -> None:
    paths = paths_in(tmp_path / "data")
    (tmp_path / "data" / left).write_bytes(b"" if left == "state.db" else b"half of a database")
    connection = connect_state(paths)
    assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == ["reserve", "state.db"]


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    paths = paths_in(tmp_path / "data")
    (tmp_path / "data" / "state.db").write_bytes(b"no database" * 1000)
    with pytest.raises(HostError, match="cannot open the database") as caught:
        connect_state(paths)
    assert caught.value.cause == "it is damaged (file is not a database)"
    assert caught.value.mend == "sandbox system check --repair"


def test_an_up_to_date_database_has_had_every_migration() -> None:
    assert len(MIGRATIONS) == SCHEMA_VERSION
