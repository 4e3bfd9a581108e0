"""What a starting command tells when its monitor ends without a word."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from sandbox.container.life.handshake import StartOptions, start_in_monitor
from sandbox.container.model.record import Container, ContainerState
from sandbox.container.model.store import insert_container
from sandbox.container.monitor.plan import Attachment
from sandbox.container.monitor.spawn import SpawnedMonitor
from sandbox.errors import StartError
from sandbox.protocol.channel import Channel
from tests.sandbox.container.conftest import a_container

if TYPE_CHECKING:
    import sqlite3

    from sandbox.paths import Paths


def _start(paths: Paths, container: Container, end: int) -> StartError:
    """The error of a start whose monitor takes the plan and ends by the signal `end`, or by itself."""
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        theirs.recv(1 << 20)
        os.kill(os.getpid(), end)
        os._exit(0)
    theirs.close()
    options = StartOptions(Attachment(False, False, False))
    with pytest.raises(StartError) as caught:
        start_in_monitor(paths, SpawnedMonitor(pid, Channel(ours)), container, options)
    return caught.value


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("removing", "container web was removed while it was being started"),
        ("created", "container web was killed while it was being started"),
    ],
)
def test_one_that_was_killed(database: sqlite3.Connection, paths: Paths, status: str, message: str) -> None:
    container = insert_container(database, a_container("web", state=ContainerState(status)))  # type: ignore[arg-type]
    assert _start(paths, container, signal.SIGKILL).message == message


def test_one_whose_record_is_gone(database: sqlite3.Connection, paths: Paths) -> None:
    assert _start(paths, a_container("web"), signal.SIGKILL).message == (
        "container web was removed while it was being started"
    )


def test_one_that_ended_by_itself(database: sqlite3.Connection, paths: Paths) -> None:
    container = insert_container(database, a_container("web"))
    error = _start(paths, container, 0)
    assert (error.message, error.mend) == ("the container's monitor died", "sandbox --debug run … shows more")
