"""What rules of egress refused to a container, as a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.container.model.events import REFUSED, Tell, tell
from sandbox.container.model.store import insert_container, update_state
from sandbox.container.model.transitions import RunEnded, RunStarted
from sandbox.container.view.logs import LogSelection
from sandbox.container.view.refusal_log import refusal_log
from tests.sandbox.container.conftest import a_container

if TYPE_CHECKING:
    import sqlite3

    from sandbox.paths import Paths

WEB = a_container("web")


def _refuse(database: sqlite3.Connection, *destinations: str) -> None:
    for destination in destinations:
        tell(database, WEB.id, Tell(REFUSED, {"destination": destination}))


def _texts(paths: Paths, selection: LogSelection, *, follow: bool = False) -> list[str]:
    return [entry.text for entry in refusal_log(paths, WEB, selection, follow=follow)]


def test_entries_are_the_events_of_this_container(paths: Paths, database: sqlite3.Connection) -> None:
    other = a_container("other")
    insert_container(database, WEB)
    insert_container(database, other)
    _refuse(database, "evil.example", "192.0.2.1:80/tcp")
    tell(database, other.id, Tell(REFUSED, {"destination": "elsewhere.example"}))
    tell(database, WEB.id, Tell("kill", {"signal": "15"}))
    assert _texts(paths, LogSelection()) == ["egress refused: evil.example\n", "egress refused: 192.0.2.1:80/tcp\n"]
    assert _texts(paths, LogSelection(tail=1)) == ["egress refused: 192.0.2.1:80/tcp\n"]
    assert _texts(paths, LogSelection(tail=0)) == []
    first, second = refusal_log(paths, WEB, LogSelection(), follow=True)
    assert _texts(paths, LogSelection(since=second.time)) == [second.text]
    assert _texts(paths, LogSelection(until=first.time)) == [first.text]


def test_following_ends_with_the_container(paths: Paths, database: sqlite3.Connection) -> None:
    insert_container(database, WEB)
    update_state(database, WEB.id, RunStarted(7, 70, 5, 0).apply)
    _refuse(database, "early.example")
    entries = refusal_log(paths, WEB, LogSelection(), follow=True)
    assert next(entries).text == "egress refused: early.example\n"
    _refuse(database, "late.example")
    assert next(entries).text == "egress refused: late.example\n"
    _refuse(database, "last.example")
    update_state(database, WEB.id, RunEnded(0, 10).apply)
    assert [entry.text for entry in entries] == ["egress refused: last.example\n"]
