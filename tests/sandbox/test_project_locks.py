"""The lock of a project, and the workers that a killed command leaves."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from sandbox.paths import find_paths
from sandbox.project_locks import ProjectLock, noted_workers, others_work

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from sandbox.paths import Paths

#: a command that has the lock, notes a worker, and says so
_COMMAND = """
import os, sys, time
from sandbox.project_locks import ProjectLock, noted_workers
from sandbox.paths import find_paths
paths = find_paths(os.environ)
with ProjectLock(paths, "demo") as lock, noted_workers(paths, "demo", int(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""


def _paths(directory: Path) -> Paths:
    return find_paths(_environment(directory))


def _environment(directory: Path) -> dict[str, str]:
    return {"HOME": str(directory), "XDG_DATA_HOME": str(directory)}


def _command(directory: Path, worker: int) -> subprocess.Popen[str]:
    command = subprocess.Popen(
        [sys.executable, "-c", _COMMAND, str(worker)], env=_environment(directory), text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert command.stdout is not None
    assert command.stdout.readline() == "ready\n"
    return command


def test_who_gets_the_lock_waits_for_the_workers_of_the_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[object] = []
    select_really = select.select
    with subprocess.Popen(["sleep", "1000"]) as worker:

        def wait(readable: list[int], writable: list[int], exceptional: list[int]) -> object:
            waited.append(readable)
            worker.kill()
            return select_really(readable, writable, exceptional)

        command = _command(tmp_path, worker.pid)
        command.send_signal(signal.SIGKILL)
        command.communicate()
        monkeypatch.setattr(select, "select", wait)
        with ProjectLock(_paths(tmp_path), "demo"):
            assert len(waited) == 1
    assert os.listdir(tmp_path / "sandbox" / "locks") == ["compose-demo"]


def test_the_workers_of_who_lives_are_not_waited_for(tmp_path: Path) -> None:
    paths = _paths(tmp_path)
    with ProjectLock(paths, "demo") as lock, noted_workers(paths, "demo", os.getpid()):
        lock.release()
        with ProjectLock(paths, "demo"):
            assert len(os.listdir(tmp_path / "sandbox" / "locks")) == 2
        # one's own are no other's
        assert not others_work(paths, "demo")
    command = _command(tmp_path, os.getpid())
    assert others_work(paths, "demo")
    assert not others_work(paths, "dem")
    command.communicate()
    assert not others_work(paths, "demo")
    assert os.listdir(tmp_path / "sandbox" / "locks") == ["compose-demo"]
