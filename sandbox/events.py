"""What happened to containers, images, volumes and networks: Docker's events, as rows of the one database.

A row is written by `emit` in the transaction that writes the change itself, so one is never there without the other,
whenever a process is killed. Write transactions exclude each other: a later commit has a higher id, and who asks for
what is beyond the last id that he saw misses nothing. A writer waits for no reader; readers are in `event_stream.py`.

Kept are the newest, of a day, by number and by size; a writer removes the others every so often.
"""

from __future__ import annotations

import json
import time

from sandbox.named_tuple import NamedTuple
from sandbox.state import open_state
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from sandbox.paths import Paths

MOST_EVENTS = 10_000
MOST_BYTES = 32 << 20
LONGEST_NS = 24 * 3600 * 10**9
#: a writer removes old rows at every id that this divides
PRUNED_EVERY = 256
#: of an event's attributes as JSON; labels come from images, which may say as much as they like
_LONGEST_ATTRIBUTES = 64 << 10


#: called by `emit` with each event, in its transaction: what this process makes is kept as somebody's by it
observers: list[Callable[[sqlite3.Connection, Event], None]] = []


class Event(NamedTuple):
    """`kind` and `action` as Docker calls them ("container", "die"), `actor` the id or name of what it happened to."""

    kind: str
    action: str
    actor: str
    attributes: Mapping[str, str] = {}


class Happened(NamedTuple):
    """One row: an event with its place in the order of all, and its time, ns since 1970."""

    id: int
    time_ns: int
    event: Event


def emit(connection: sqlite3.Connection, event: Event) -> None:
    """Keep the event; within the transaction that writes what it tells of."""
    assert connection.in_transaction, "an event belongs to the transaction of its change"
    kind, action, actor, attributes = event
    now_ns = time.time_ns()
    text = json.dumps(attributes)
    if len(text) > _LONGEST_ATTRIBUTES:
        text = json.dumps(_shortest(attributes))
    cursor = connection.execute(
        "INSERT INTO event (time_ns, kind, action, actor, attributes) VALUES (?, ?, ?, ?, ?)",
        (now_ns, kind, action, actor, text),
    )
    for observe in observers:
        observe(connection, event)
    if cursor.lastrowid is not None and cursor.lastrowid % PRUNED_EVERY == 0:
        _prune(connection, cursor.lastrowid, now_ns)


def tell_pruned(paths: Paths, kind: str, freed_bytes: int) -> None:
    """Keep that what nobody uses of a kind was removed, and what that freed."""
    with open_state(paths, frees=True) as connection, transaction(connection):
        emit(connection, Event(kind, "prune", "", {"reclaimed": str(freed_bytes)}))


def _shortest(attributes: Mapping[str, str]) -> dict[str, str]:
    """As many as there is room for, the shortest first: what says most of an event is short."""
    kept: dict[str, str] = {}
    room = _LONGEST_ATTRIBUTES // 2
    for name, value in sorted(attributes.items(), key=lambda item: len(item[0]) + len(item[1])):
        room -= len(json.dumps(name)) + len(json.dumps(value))
        if room < 0:
            break
        kept[name] = value
    return kept


def _prune(connection: sqlite3.Connection, last: int, now_ns: int) -> None:
    connection.execute("DELETE FROM event WHERE id <= ?", (last - MOST_EVENTS,))
    # up to the first that is young: the others need not be looked at
    connection.execute(
        "DELETE FROM event WHERE id < (SELECT id FROM event WHERE time_ns >= ? ORDER BY id LIMIT 1)",
        (now_ns - LONGEST_NS,),
    )
    (kept,) = connection.execute("SELECT sum(length(attributes)) FROM event").fetchone()
    if kept > MOST_BYTES:
        connection.execute(
            "DELETE FROM event WHERE id <= (SELECT max(id) FROM (SELECT id,"
            " sum(length(attributes)) OVER (ORDER BY id DESC) AS total FROM event) WHERE total > ?)",
            (MOST_BYTES,),
        )


def last_event_id(connection: sqlite3.Connection) -> int:
    """The id of the newest event; 0 where there is none."""
    (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()
    return int(last)


def read_events(connection: sqlite3.Connection, *, after: int = 0, since_ns: int = 0) -> Iterator[Happened]:
    """The events beyond the id `after`, of `since_ns` or later, in order."""
    rows = connection.execute(
        "SELECT id, time_ns, kind, action, actor, attributes FROM event WHERE id > ? AND time_ns >= ? ORDER BY id",
        (after, since_ns),
    )
    # fetched at once: a read transaction that lasts keeps the write-ahead log from being taken over
    for row in rows.fetchall():
        yield _happened(row)


def is_event_row(attributes: str) -> bool:
    """Whether these are attributes as an event's row has them. Raises ValueError for what is no JSON."""
    plain = json.loads(attributes)
    return isinstance(plain, dict) and all(isinstance(value, str) for value in plain.values())


def _happened(row: tuple[Any, ...]) -> Happened:  # Any: a database row
    event_id, time_ns, kind, action, actor, attributes = row
    return Happened(event_id, time_ns, Event(kind, action, actor, json.loads(attributes)))
