"""Which events a change of a container's record is, and that the two are written together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.container.model.events import Tell, told_by
from sandbox.container.model.record import ContainerState
from sandbox.container.model.store import delete_container, insert_container, rename_container, update_state
from sandbox.container.model.transitions import RunEnded, RunStarted, StartFailed
from sandbox.errors import ConflictError
from sandbox.events import read_events
from sandbox.transactions import transaction
from sandbox.values import MountPoint
from tests.sandbox.container.conftest import a_container

if TYPE_CHECKING:
    import sqlite3

_S = 10**9
STARTED = RunStarted(7, 70, 5 * _S, 0)
CREATED = ContainerState()
RUNNING = STARTED.apply(CREATED)


def _actions(before: ContainerState, after: ContainerState) -> list[str]:
    return [f"{tell.kind} {tell.action}" for tell in told_by(before, after)]


@pytest.mark.parametrize(
    ("before", "after", "actions"),
    [
        (CREATED, CREATED._replace(monitor_pid=3), []),
        (CREATED, StartFailed(1, "no").apply(CREATED), []),
        (CREATED, CREATED._replace(status="removing"), []),
        (CREATED, RUNNING, ["volume mount", "container start"]),
        (RUNNING, RUNNING._replace(error="lost"), []),
        (RUNNING, RunEnded(3, 9 * _S).apply(RUNNING), ["container die", "volume unmount"]),
        (RUNNING, RUNNING._replace(status="removing"), ["container die", "volume unmount"]),
        (RUNNING, RunEnded(3, 9 * _S, stays_down=False).apply(RUNNING), ["container die", "volume unmount"]),
        (RUNNING, RunEnded(9, 9 * _S, True).apply(RUNNING), ["container oom", "container die", "volume unmount"]),
        (RUNNING._replace(status="restarting"), RunEnded(3, 9 * _S).apply(RUNNING._replace(status="restarting")), []),
        (RUNNING._replace(status="restarting", started_ns=1), RUNNING, ["volume mount", "container start"]),
        (RUNNING, RUNNING._replace(health="healthy"), ["container health_status: healthy"]),
        (RUNNING._replace(health="healthy"), RUNNING, []),
        (RUNNING, RUNNING._replace(status="paused"), ["container pause"]),
        (RUNNING._replace(status="paused"), RUNNING, ["container unpause"]),
    ],
)
def test_a_change_is_these_events(before: ContainerState, after: ContainerState, actions: list[str]) -> None:
    assert _actions(before, after) == actions


def test_an_end_says_the_code_and_how_long_it_ran() -> None:
    (die, _unmount) = told_by(RUNNING, RunEnded(137, 12 * _S + 5).apply(RUNNING))
    assert die.attributes == {"exitCode": "137", "execDuration": "7"}


def _told(database: sqlite3.Connection) -> list[tuple[str, str, str]]:
    return [(one.event.kind, one.event.action, one.event.actor) for one in read_events(database)]


def test_changes_written_at_once_are_told_one_by_one(database: sqlite3.Connection) -> None:
    """What a full disk did not take is written together, later."""
    kept = insert_container(database, a_container("web", state=RUNNING))
    ended = RunEnded(3, 9 * _S, stays_down=False)
    again = RunStarted(8, 80, 10 * _S, 1)
    update_state(database, kept.id, Tell("kill", {"signal": "9"}), ended.apply, again.apply)
    assert [action for _kind, action, _actor in _told(database)] == ["kill", "die", "start"]
    assert {actor for _kind, _action, actor in _told(database)} == {kept.id}


def test_a_change_that_is_refused_is_no_event(database: sqlite3.Connection) -> None:
    kept = insert_container(database, a_container("web"))

    def refuse(_state: ContainerState) -> ContainerState:
        raise ConflictError("no")

    with pytest.raises(ConflictError):
        update_state(database, kept.id, STARTED.apply, refuse)
    update_state(database, "0" * 64, STARTED.apply)
    insert_container(database, a_container("other"))
    with pytest.raises(ConflictError):
        rename_container(database, kept.id, "other")
    assert _told(database) == []


def test_attributes_are_docker_s(database: sqlite3.Connection) -> None:
    plain = a_container("web")
    mounts = (
        MountPoint("volume", "kept", "/data", read_only=True), MountPoint("bind", "/srv", "/srv"),
        MountPoint("volume", "more", "/more"),
    )  # fmt: skip
    labels = (("tier", "front"), ("exitCode", "forged"), ("name", "forged"))
    kept = insert_container(database, plain._replace(config=plain.config._replace(mounts=mounts, labels=labels)))
    update_state(database, kept.id, STARTED.apply)
    update_state(database, kept.id, RunEnded(0, 9 * _S).apply)
    rename_container(database, kept.id, "old")
    with transaction(database):
        delete_container(database, kept.id)
        delete_container(database, kept.id)
    common = {"image": "busybox", "name": "web", "tier": "front"}
    mounted = {"container": kept.id, "driver": "local", "destination": "/data", "propagation": ""}
    gone = {"container": kept.id, "driver": "local"}
    assert [(one.event.action, one.event.actor, one.event.attributes) for one in read_events(database)] == [
        ("mount", "kept", {**mounted, "read/write": "false"}),
        ("mount", "more", {**mounted, "destination": "/more", "read/write": "true"}),
        ("start", kept.id, {**common, "exitCode": "forged"}),
        ("die", kept.id, {**common, "exitCode": "0", "execDuration": "4"}),
        ("unmount", "kept", gone),
        ("unmount", "more", gone),
        ("rename", kept.id, {**common, "exitCode": "forged", "name": "old", "oldName": "/web"}),
        ("destroy", kept.id, {**common, "exitCode": "forged", "name": "old"}),
    ]
