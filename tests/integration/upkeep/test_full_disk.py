"""A disk that is full: what there is can be listed, and removed. On a small tmpfs, in a namespace of the test's own."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.needs import REPOSITORY
from tests.subordinate import run_as_namespace_root

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.requires("userns", "subids")

_BEGIN = """
import os, sys
sys.path.insert(0, sys.argv[1])
from sandbox.errors import HostError
from sandbox.paths import Paths
from sandbox.state import DatabaseError, connect_state
from sandbox.transactions import transaction
place = sys.argv[2]
paths = Paths(place, place, place)

def fill():
    with open(f"{place}/fill", "ab", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                pass

def count(connection):
    return connection.execute("SELECT count(*) FROM setting").fetchone()[0]

def insert(connection):
    with transaction(connection):
        for number in range(2000):
            connection.execute("INSERT INTO setting VALUES (?, ?)", (os.urandom(8).hex(), "x" * 100))

connection = connect_state(paths)
insert(connection)
connection.close()
assert os.stat(paths.reserve).st_size == 1 << 20
"""


def _run(tmp_path: Path, script: str) -> str:
    mount = f'mount -t tmpfs -o size=80m tmpfs "{tmp_path}" && exec "$@"'
    words = ["sh", "-euc", mount, "sh", sys.executable, "-c", _BEGIN + script, str(REPOSITORY), str(tmp_path)]
    return run_as_namespace_root(words, mounts=True).stdout


def test_what_there_is_can_be_listed_on_a_full_disk(tmp_path: Path) -> None:
    script = """
fill()
connection = connect_state(paths)
print(count(connection), os.path.exists(paths.reserve))
connection.close()
os.unlink(f"{place}/fill")
connect_state(paths).close()
print(os.path.exists(paths.reserve))
"""
    assert _run(tmp_path, script).splitlines() == ["2000 False", "True"]


def test_without_a_reserve_the_disk_is_named(tmp_path: Path) -> None:
    script = """
os.unlink(paths.reserve)
fill()
try:
    connect_state(paths)
except HostError as error:
    print(error.cause.partition(" (")[0], error.mend)
"""
    # SQLite has two errors for it: of the log, and of the log's index
    assert _run(tmp_path, script) == f"the disk is full df -h {tmp_path}\n"


def test_who_removes_gets_the_room_to_write_that_down(tmp_path: Path) -> None:
    script = """
# a connection of somebody else's: it has all that reading takes
other = connect_state(paths)
count(other)
fill()
try:
    insert(connect_state(paths))
except DatabaseError as error:
    print(error, os.path.exists(paths.reserve))
connection = connect_state(paths, frees=True)
with transaction(connection):
    connection.execute("DELETE FROM setting")
print(count(connection), os.path.exists(paths.reserve))
"""
    assert _run(tmp_path, script).splitlines() == ["database or disk is full True", "0 False"]


def test_little_room_is_left_to_others(tmp_path: Path) -> None:
    script = """
os.unlink(paths.reserve)
with open(f"{place}/fill", "wb") as file:
    os.posix_fallocate(file.fileno(), 0, 40 << 20)
connect_state(paths).close()
print(os.path.exists(paths.reserve))
"""
    assert _run(tmp_path, script) == "False\n"
