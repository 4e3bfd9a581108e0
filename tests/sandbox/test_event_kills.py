"""Writers killed at any instruction: an event is there with its change, or neither is; a follower sees all in order."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from sandbox.container.model.store import insert_container
from sandbox.event_stream import Selection, stream_events
from sandbox.events import Happened, last_event_id, read_events
from sandbox.paths import Paths
from sandbox.random_ids import new_container_id
from sandbox.state import connect_state
from tests.needs import REPOSITORY
from tests.sandbox.container.conftest import a_container

if TYPE_CHECKING:
    from pathlib import Path

#: starts and ends a container for ever, as a monitor writes that
_WRITER = """
import sys, time
from sandbox.container.model.store import update_state
from sandbox.container.model.transitions import RunEnded, RunStarted
from sandbox.paths import Paths
from sandbox.state import connect_state
root, container_id = sys.argv[1:]
connection = connect_state(Paths(root, root, root), durable=False)
number = 0
while True:
    number += 1
    update_state(connection, container_id, RunStarted(1, 1, time.time_ns(), number - 1).apply)
    update_state(connection, container_id, RunEnded(number % 256, time.time_ns(), stays_down=False).apply)
"""


@pytest.mark.parametrize(
    "rounds", [pytest.param(3, marks=pytest.mark.slow), pytest.param(60, marks=pytest.mark.long)], ids=["few", "many"]
)
def test_nothing_is_lost_and_nothing_is_invented(tmp_path: Path, rounds: int) -> None:
    chance = random.Random(rounds)
    for number in range(rounds):
        directory = tmp_path / str(number)
        directory.mkdir()
        _kill_writers(Paths(str(directory), str(directory), str(directory)), chance)


def _kill_writers(paths: Paths, chance: random.Random) -> None:
    ids = [new_container_id() for _ in range(3)]
    with closing(connect_state(paths)) as connection:
        for container_id in ids:
            insert_container(connection, a_container(container_id[:12], container_id))
    stream = stream_events(paths, Selection(since_ns=1))
    writers = {
        container_id: subprocess.Popen(
            [sys.executable, "-c", _WRITER, paths.data_root, container_id], cwd=REPOSITORY, stderr=subprocess.DEVNULL
        )
        for container_id in ids
    }
    seen: list[Happened] = []
    actors: set[str] = set()
    for container_id in ids:
        wanted = len(seen) + chance.randrange(1, 200)
        while len(seen) < wanted or container_id not in actors:
            more = next(stream)
            seen += more
            actors |= {one.event.actor for one in more}
        writers[container_id].kill()
        writers[container_id].wait()
    with closing(connect_state(paths)) as connection:
        while seen[-1].id < last_event_id(connection):
            seen += next(stream)
        kept = list(read_events(connection))
        # one of the writers may have waited so long for the others that the first ones are gone
        assert seen[-len(kept) :] == kept
        assert [one.id for one in seen] == list(range(1, len(seen) + 1))
        for container_id in ids:
            (text,) = connection.execute("SELECT state FROM container WHERE id = ?", (container_id,)).fetchone()
            state = json.loads(text)
            actions = [one.event.action for one in seen if one.event.actor == container_id]
            # each end decided on a restart
            ends, runs = state.get("restart_count", 0), state["status"] == "running"
            assert actions == ["start", "die"] * ends + ["start"] * runs
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    stream.close()  # type: ignore[attr-defined]  # a generator
