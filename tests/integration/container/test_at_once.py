"""Commands on one container at the same time, and monitors that die between them: one container, and a true record."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.integration.container.conftest import has_socket, state_files

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

    Wait = Callable[[Callable[[], object]], None]

pytestmark = [pytest.mark.requires("userns", "subids", "busybox"), pytest.mark.slow]

_COMMANDS = (
    ("start", "cc"), ("start", "cc"), ("stop", "-t", "0", "cc"), ("restart", "-t", "0", "cc"), ("kill", "cc"),
    ("rm", "cc"), ("rm", "-f", "cc"), ("rename", "cc", "dd"), ("exec", "cc", "true"), ("wait", "cc"), ("monitor",),
    ("pause", "cc"), ("pause", "cc"), ("unpause", "cc"),
    ("update", "--restart", "on-failure", "cc"), ("port", "add", "cc", "0:80"),
)  # fmt: skip
#: what a person may be told when somebody else was faster; anything else is a fault
_EXCUSES = (
    "No such container", "is not running", "stop the container before removing", "removed meanwhile",
    "while it was being started", "is restarting", "the container's first process", "is already paused",
    "is not paused", "is paused, unpause", "must be unpaused first", "cannot start a paused", "is being stopped",
    "marked for removal", "it has no network",
)  # fmt: skip


def _create(sandbox: Sandbox, image: str, name: str = "cc") -> None:
    sandbox.run("create", "--name", name, "--network", "none", image, "sleep", "12345")


def _sleepers(sandbox: Sandbox) -> list[str]:
    """The programs of this test's containers that run."""
    return [line for line in leaks.processes_of(str(sandbox.home.root)) if line.endswith(" sleep 12345")]


def _status(sandbox: Sandbox, name: str = "cc") -> str:
    return sandbox.run("container", "inspect", "--format", "{{.State.Status}}", name).stdout.strip()


def _column(sandbox: Sandbox, key: str) -> int:
    with closing(sqlite3.connect(sandbox.home.data / "sandbox/state.db")) as connection:
        row = connection.execute("SELECT json_extract(state, ?) FROM container", (f"$.{key}",)).fetchone()
    return int(row[0] or 0) if row else 0


def _at_once(sandbox: Sandbox, *commands: tuple[str, ...]) -> list[tuple[int, str]]:
    processes = [sandbox.spawn(*command) for command in commands]
    said = [process.communicate() for process in processes]
    return [(p.returncode, (out + err).decode()) for p, (out, err) in zip(processes, said, strict=True)]


def test_two_starts_at_once_make_one_container(sandbox: Sandbox, busybox: str) -> None:
    _create(sandbox, busybox)
    for _round in range(4):
        assert _at_once(sandbox, ("start", "cc"), ("start", "cc"), ("start", "cc")) == [(0, "cc\n")] * 3
        assert _status(sandbox) == "running"
        assert len(_sleepers(sandbox)) == 1
        sandbox.run("stop", "-t", "0", "cc")
        assert _sleepers(sandbox) == []
    sandbox.run("rm", "cc")
    assert state_files(sandbox) == []


def _check(sandbox: Sandbox) -> None:
    """What the record says is so, and the container obeys."""
    names = sandbox.run("ps", "-a", "--format", "{{.Names}}").lines
    for name in names:
        status = _status(sandbox, name)
        assert len(_sleepers(sandbox)) == (status in ("running", "paused"))
        if status == "paused":
            sandbox.run("unpause", name)
        sandbox.run("start", name)
        assert len(_sleepers(sandbox)) == 1
        sandbox.run("rm", "-f", name)
    # the kernel ends a container whose monitor was killed, in its own time
    assert leaks.wait_processes_gone(str(sandbox.home.root)) == []
    assert state_files(sandbox) == []


def _round(sandbox: Sandbox, image: str, chosen: random.Random) -> None:
    _create(sandbox, image)
    if chosen.random() < 0.6:
        sandbox.run("start", "cc")
    commands = [chosen.choice(_COMMANDS) for _ in range(chosen.choice((2, 2, 3)))]
    processes = []
    for command in commands:
        if command != ("monitor",):
            processes.append((command, sandbox.spawn(*command)))
        elif monitor := _column(sandbox, "monitor_pid"):
            try:
                os.kill(monitor, signal.SIGKILL)
            except ProcessLookupError:
                continue
    waiting = [process for command, process in processes if command[0] == "wait"]
    for command, process in processes:
        if process in waiting:
            continue
        _out, error = process.communicate(timeout=60)
        text = error.decode()
        assert process.returncode == 0 or any(excuse in text for excuse in _EXCUSES), (commands, command, text)
    for process in waiting:
        sandbox.run("rm", "-f", "cc", "dd", status=None)
        process.communicate(timeout=60)
    _check(sandbox)


def test_any_commands_at_once_leave_one_container_and_a_true_record(sandbox: Sandbox, busybox: str) -> None:
    chosen = random.Random(7)
    for _ in range(8):
        _round(sandbox, busybox, chosen)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_thousand_rounds_of_commands_at_once(sandbox: Sandbox, busybox: str) -> None:
    chosen = random.Random(1000)
    for _ in range(1000):
        _round(sandbox, busybox, chosen)


def test_a_volume_goes_with_the_last_container_that_names_it(sandbox: Sandbox, busybox: str) -> None:
    run = ("run", "-d", "--network", "none")
    sandbox.run(*run, "--name", "aa", "-v", "/data", busybox, "sh", "-c", "echo precious >/data/f; echo up; sleep 1000")
    sandbox.wait_for_log("aa", "up")
    sandbox.run(*run, "--name", "bb", "--volumes-from", "aa", busybox, "sleep", "1000")
    sandbox.run(*run, "--rm", "--name", "ee", "--volumes-from", "bb", busybox, "sleep", "1000")
    sandbox.run("rm", "-fv", "aa")
    assert sandbox.run("exec", "bb", "cat", "/data/f").lines == ["precious"]
    sandbox.run("stop", "-t", "0", "ee")
    sandbox.run("restart", "-t", "0", "bb")
    assert sandbox.run("exec", "bb", "cat", "/data/f").lines == ["precious"]
    volumes = sandbox.home.data / "sandbox/volumes"
    assert len(os.listdir(volumes)) == 1
    sandbox.run("rm", "-fv", "bb")
    assert os.listdir(volumes) == []


@pytest.mark.parametrize("options", [(), ("--rm",)])
def test_wait_tells_the_code_of_a_run_whose_end_is_not_written_yet(
    sandbox: Sandbox, busybox: str, eventually: Wait, options: tuple[str, ...]
) -> None:
    """Its end is waited for; a container that goes with its run is waited for too."""
    script = "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"
    sandbox.run("run", "-d", *options, "--network", "none", "--name", "cc", busybox, "sh", "-c", script)
    sandbox.wait_for_log("cc", "up")
    pid = _column(sandbox, "pid")
    with closing(sqlite3.connect(sandbox.home.data / "sandbox/state.db", isolation_level=None)) as connection:
        # nobody writes: the monitor finds its container ended, and cannot say so
        connection.execute("BEGIN IMMEDIATE")
        sandbox.run("kill", "-s", "TERM", "cc")
        leaks.wait_ended(pid)
        waiting = sandbox.spawn("wait", "cc")
        eventually(lambda: waiting.poll() is not None or has_socket(waiting.pid))
        connection.execute("ROLLBACK")
    out, _error = waiting.communicate()
    assert (waiting.returncode, out) == (0, b"7\n")
