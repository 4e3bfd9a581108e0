"""What the change of a container's record is as Docker's events, and how they are written beside it.

A change of the state tells by itself what happened: nobody can write the one and forget the other. What leaves no
trace in the state (a signal, a client that comes) is written in the same way, as a `Tell` among the changes.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from sandbox.events import Event, emit
from sandbox.named_tuple import NamedTuple
from sandbox.state import DatabaseError
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from sandbox.container.model.record import ContainerState


#: a container was kept from something outside, its "destination", by rules of egress
REFUSED = "egress_refused"


class Tell(NamedTuple):
    """Something that happens to a container."""

    action: str
    attributes: Mapping[str, str] = {}
    #: "volume": it happens to each volume that the container mounts
    kind: str = "container"


def refusal_of(destination: str) -> Tell:
    """That a container was kept from a name, or from an address such as `192.0.2.1:80/tcp`."""
    return Tell(REFUSED, {"destination": destination})


def told_by(before: ContainerState, after: ContainerState) -> Iterator[Tell]:
    """What happened where a state became another one, in Docker's order. Pure."""
    ran = before.status in ("running", "paused")
    runs = after.status in ("running", "paused")
    starts = runs and (not ran or after.started_ns != before.started_ns)
    if ran and (starts or not runs):
        if after.oom_killed:
            yield Tell("oom")
        seconds = max(0, after.finished_ns - before.started_ns) // 10**9
        yield Tell("die", {"exitCode": str(after.exit_code), "execDuration": str(seconds)})
        yield Tell("unmount", kind="volume")
    if starts:
        yield Tell("mount", kind="volume")
        yield Tell("start")
    elif runs and before.status != after.status:
        yield Tell("pause" if after.status == "paused" else "unpause")
    if runs and after.health != before.health and after.health in ("healthy", "unhealthy"):
        yield Tell(f"health_status: {after.health}")


def emit_of(connection: sqlite3.Connection, container_id: str, *tells: Tell) -> None:
    """Keep what happened to the container, within the transaction that changes it; nothing where there is no such."""
    row = connection.execute("SELECT name, config FROM container WHERE id = ?", (container_id,)).fetchone()
    if row is None or not tells:
        return
    name, config = row[0], json.loads(row[1])
    common = {**dict(config.get("labels", ())), "image": config.get("image", ""), "name": name}
    for action, attributes, kind in tells:
        if kind == "volume":
            for mount in config.get("mounts", ()):
                if mount["kind"] == "volume":
                    emit(connection, _of_volume(action, container_id, mount))
        else:
            emit(connection, Event(kind, action, container_id, {**common, **attributes}))


def _of_volume(action: str, container_id: str, mount: Mapping[str, str]) -> Event:
    attributes = {"container": container_id, "driver": "local"}
    if action == "mount":
        writes = "false" if mount.get("read_only") else "true"
        attributes |= {"destination": mount["target"], "propagation": "", "read/write": writes}
    return Event("volume", action, mount["source"], attributes)


def tell(connection: sqlite3.Connection, container_id: str, *tells: Tell) -> None:
    """Keep what happened to the container where nothing of its record changes; a full disk loses it."""
    with suppress(DatabaseError), transaction(connection):
        emit_of(connection, container_id, *tells)


def tell_exec_began(connection: sqlite3.Connection, container_id: str, arguments: Sequence[str]) -> str:
    """Keep that a command is run in the container; the id that Docker would give it."""
    exec_id = os.urandom(32).hex()
    command = _command_text(arguments)
    known = {"execID": exec_id}
    tell(connection, container_id, Tell(f"exec_create: {command}", known), Tell(f"exec_start: {command}", known))
    return exec_id


def tell_exec_made(connection: sqlite3.Connection, container_id: str, arguments: Sequence[str]) -> str:
    """Keep that a command is to be run in the container, by whoever starts it later; its id."""
    exec_id = os.urandom(32).hex()
    tell(connection, container_id, Tell(f"exec_create: {_command_text(arguments)}", {"execID": exec_id}))
    return exec_id


def tell_exec_started(
    connection: sqlite3.Connection, container_id: str, exec_id: str, arguments: Sequence[str]
) -> None:
    """Keep that it is run now."""
    tell(connection, container_id, Tell(f"exec_start: {_command_text(arguments)}", {"execID": exec_id}))


def _command_text(arguments: Sequence[str]) -> str:
    # Docker: the program, a space, its arguments with spaces between
    return f"{arguments[0]} {' '.join(arguments[1:])}"


def tell_exec_left(connection: sqlite3.Connection, container_id: str, exec_id: str, exit_code: int | None) -> None:
    """Keep that it ended with `exit_code`; or without one, that nobody waits for it any more."""
    known = {"execID": exec_id}
    left = Tell("exec_detach", known) if exit_code is None else Tell("exec_die", {**known, "exitCode": str(exit_code)})
    tell(connection, container_id, left)
