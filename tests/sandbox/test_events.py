"""Rows of events: kept for a time, read in order, filtered as Docker does, followed over everything."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from sandbox import event_stream, events
from sandbox.errors import UsageError
from sandbox.event_stream import Selection, check_times, read_event_filters, stream_events
from sandbox.events import Event, Happened, emit, last_event_id, read_events, tell_pruned
from sandbox.grammar.filters import FilterError
from sandbox.paths import Paths
from sandbox.state import connect_state, make_database
from sandbox.transactions import transaction

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

_DAY_NS = 24 * 3600 * 10**9


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(str(tmp_path), str(tmp_path), str(tmp_path))


@pytest.fixture
def database(paths: Paths) -> Iterator[sqlite3.Connection]:
    connection = connect_state(paths, durable=False)
    yield connection
    connection.close()


def _emit(connection: sqlite3.Connection, count: int, attributes: dict[str, str] | None = None) -> None:
    with transaction(connection):
        for number in range(count):
            emit(connection, Event("container", f"a{number}", "c", attributes or {}))


def test_an_event_belongs_to_a_transaction(database: sqlite3.Connection) -> None:
    with pytest.raises(AssertionError):
        emit(database, Event("container", "start", "c"))


def test_the_oldest_go_by_number(database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_EVENTS", 300)
    _emit(database, 3 * events.PRUNED_EVERY)
    ids = [one.id for one in read_events(database)]
    assert ids == list(range(ids[-1] - 299, ids[-1] + 1))
    # between two times there are more, and never many more
    _emit(database, events.PRUNED_EVERY - 1)
    assert len(list(read_events(database))) == 300 + events.PRUNED_EVERY - 1


def test_the_oldest_go_by_age(database: sqlite3.Connection) -> None:
    _emit(database, 100)
    database.execute("UPDATE event SET time_ns = time_ns - ?", (_DAY_NS,))
    _emit(database, events.PRUNED_EVERY - 100)
    assert next(one.id for one in read_events(database)) == 101
    assert last_event_id(database) == events.PRUNED_EVERY


def test_the_oldest_go_by_size(database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST_BYTES", 50_000)
    _emit(database, events.PRUNED_EVERY, {"label": "x" * 1000})
    assert len(list(read_events(database))) == 49


def test_of_labels_without_end_the_short_attributes_are_kept(database: sqlite3.Connection) -> None:
    _emit(database, 1, {"huge": "x" * 1_000_000, "name": "web", "exitCode": "3"})
    (one,) = read_events(database)
    assert one.event.attributes == {"name": "web", "exitCode": "3"}
    _emit(database, 1, {str(number): "é" * 1000 for number in range(1000)})
    assert len(database.execute("SELECT attributes FROM event WHERE id = 2").fetchone()[0]) < 65536


def test_a_prune_says_what_it_freed(paths: Paths, database: sqlite3.Connection) -> None:
    tell_pruned(paths, "volume", 12)
    (one,) = read_events(database)
    assert one.event == Event("volume", "prune", "", {"reclaimed": "12"})


def _passes(event: Event, *texts: str) -> bool:
    return Selection(filters=read_event_filters(texts)).takes(Happened(1, 1, event))


DIE = Event("container", "die", "c0ffee", {"image": "redis:7", "name": "web", "tier": "front", "exitCode": "1"})
EXEC = Event("container", "exec_create: sh -c id", "c0ffee", {"image": "redis:7", "name": "web"})
PULL = Event("image", "pull", "host:5000/a/redis:7", {"name": "host:5000/a/redis"})
MADE = Event("volume", "create", "data", {"driver": "local"})


@pytest.mark.parametrize(
    ("event", "texts", "passes"),
    [
        (DIE, (), True),
        (DIE, ("type=container",), True),
        (DIE, ("type=image",), False),
        (DIE, ("type=image", "type=container"), True),
        (DIE, ("event=die", "type=container"), True),
        (DIE, ("event=die", "type=image"), False),
        (DIE, ("event=start", "event=die"), True),
        (DIE, ("action=die",), True),
        (DIE, ("event=di",), False),
        (DIE, ("container=we",), True),
        (DIE, ("container=c0ff",), True),
        (DIE, ("container=eb",), False),
        (DIE, ("image=redis",), True),
        (DIE, ("image=redis:7",), True),
        (DIE, ("image=red",), False),
        (DIE, ("label=tier",), True),
        (DIE, ("label=tier=front", "label=exitCode"), True),
        (DIE, ("label=tier=front", "label=other"), False),
        (DIE, ("label=tier=back",), False),
        (DIE, ("scope=local",), True),
        (DIE, ("scope=swarm",), False),
        (DIE, ("service=web",), False),
        (DIE, ("volume=data",), False),
        (EXEC, ("event=exec_create",), True),
        (EXEC, ("event=exec_start",), False),
        (EXEC, ("event=exec_create: sh -c id",), True),
        (EXEC, ("event=exec",), False),
        (PULL, ("image=host:5000/a/redis",), True),
        (PULL, ("image=host:5000/a/redis:7",), True),
        (PULL, ("image=redis",), False),
        (MADE, ("volume=da",), True),
        (MADE, ("volume=da", "event=destroy"), False),
        (MADE, ("label=driver",), True),
    ],
)
def test_filters_are_docker_s(event: Event, texts: tuple[str, ...], passes: bool) -> None:
    assert _passes(event, *texts) is passes


def test_filters_that_are_none() -> None:
    with pytest.raises(FilterError, match="invalid filter 'foo'"):
        read_event_filters(("foo=bar",))
    with pytest.raises(UsageError):
        read_event_filters(("type",))
    check_times(("1", 1), ("2", 2))
    with pytest.raises(FilterError, match="cannot be after"):
        check_times(("2", 2), ("1", 1))


def test_times_choose_what_is_kept(paths: Paths, database: sqlite3.Connection) -> None:
    _emit(database, 3)
    first, second, third = read_events(database)
    past = Selection(second.time_ns, third.time_ns)
    assert [one for some in stream_events(paths, past) for one in some] == [second, third]
    # `until` alone: all that are kept, up to then
    assert [one for some in stream_events(paths, Selection(None, second.time_ns)) for one in some] == [first, second]


def _ids(stream: Iterator[list[Happened]], count: int) -> list[int]:
    """The ids of so many events, which are waited for."""
    found: list[int] = []
    while len(found) < count:
        found += [one.id for one in next(stream)]
    return found


@pytest.mark.parametrize("woken", [True, False], ids=["inotify", "polling"])
def test_a_follower_sees_what_comes(
    paths: Paths, database: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, woken: bool
) -> None:
    if not woken:
        monkeypatch.setattr(event_stream, "watch_writes", lambda _directory: -1)
    _emit(database, 1)
    stream = stream_events(paths, Selection(since_ns=1))
    assert _ids(stream, 1) == [1]
    _emit(database, 2)
    assert _ids(stream, 2) == [2, 3]
    with transaction(database):
        emit(database, Event("image", "pull", "a"))
    _emit(database, 1)
    assert _ids(stream, 2) == [4, 5]


def test_a_follower_goes_on_in_the_database_that_a_repair_has_made(paths: Paths, database: sqlite3.Connection) -> None:
    _emit(database, 5)
    stream = stream_events(paths, Selection(since_ns=1))
    assert _ids(stream, 5) == [1, 2, 3, 4, 5]
    with_less = make_database(f"{paths.database}.new")
    _emit(with_less, 2)
    with_less.close()
    for suffix in ("-wal", "-shm", ""):
        os.rename(paths.database + suffix, f"{paths.database}.old{suffix}")
    os.rename(f"{paths.database}.new", paths.database)
    assert _ids(stream, 2) == [1, 2]


def test_a_follower_ends_at_its_time(paths: Paths, database: sqlite3.Connection) -> None:
    _emit(database, 1)
    now_ns = time.time_ns()
    (some,) = stream_events(paths, Selection(1, now_ns + 1_000_000))
    assert [one.id for one in some] == [1]


def test_a_follower_without_a_reader_ends(paths: Paths, database: sqlite3.Connection) -> None:
    reads, writes = os.pipe()
    os.close(reads)
    with pytest.raises(BrokenPipeError):
        list(stream_events(paths, Selection(), writes))
    os.close(writes)
