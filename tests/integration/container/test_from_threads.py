"""Containers of a program that has threads and the database open: what only a worker can start."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import pytest
import trio

from sandbox.container.operations import StopRequest
from sandbox.container.request.request import ContainerRequest
from sandbox.errors import ConflictError, NotFoundError
from sandbox.operation_context import OperationContext
from sandbox.paths import find_paths
from sandbox.warm.failures import PreparedProcessError
from sandbox.warm.trio_workers import open_workers
from sandbox.warm.values import Descriptor
from sandbox.warm.workers import Request, Workers
from tests import leaks
from tests.integration.container.conftest import monitor_pid, state_files
from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from sandbox.warm.trio_workers import TrioWorkers
    from sandbox.warm.workers import Call
    from tests.command import Sandbox

pytestmark = pytest.mark.requires("subids", "overlay")

_SEED = int(os.environ.get("SANDBOX_KILL_SEED", "3"))


class Program:
    """This process as an owner: a thread that waits, a connection in the middle of a read."""

    def __init__(self, sandbox: Sandbox, output: Path) -> None:
        self.workers = Workers("tests.integration.container.warm_operations")
        self._env = sandbox.env
        self._output = output

    def begin(self, *words: str) -> Call:
        with open(self._output, "w") as file:
            request = Request("command", (words, Descriptor(file.fileno())), environment=self._env)
            return self.workers.begin(request)

    def run(self, *words: str) -> str:
        status = self.begin(*words).result()
        text = self._output.read_text()
        assert status == 0, text
        return text


@pytest.fixture
def program(sandbox: Sandbox, busybox: str, tmp_path: Path) -> Iterator[Program]:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    made = Program(sandbox, tmp_path / "output")
    try:
        with made.workers, closing(sqlite3.connect(sandbox.home.data / "sandbox/state.db")) as connection:
            connection.execute("BEGIN")
            assert connection.execute("SELECT count(*) FROM container").fetchone() == (0,)
            yield made
            # it still sees what was there, and then what is there now
            assert connection.execute("SELECT count(*) FROM container").fetchone() == (0,)
            connection.execute("COMMIT")
            connection.execute("SELECT count(*) FROM container").fetchone()
    finally:
        ended.set()
        thread.join()


def test_a_container_is_started_and_outlives_the_program(sandbox: Sandbox, busybox: str, program: Program) -> None:
    assert threading.active_count() > 1
    program.run("run", "-d", "--name", "cc", busybox, "sh", "-c", "echo up; sleep 1000")
    sandbox.wait_for_log("cc", "up")
    assert program.run("exec", "cc", "echo", "inside") == "inside\n"
    assert program.run("run", "--rm", "--network", "none", busybox, "echo", "done") == "done\n"
    program.run("restart", "-t", "0", "cc")
    monitor = monitor_pid(sandbox, "cc")
    with open(f"/proc/{monitor}/status") as file:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
    assert (status["Name"], status["Threads"]) == ("sandbox-monitor", "1")
    assert not {target for target in leaks.descriptors_of(monitor) if target.endswith("/output")}
    program.workers.close()
    assert sandbox.run("exec", "cc", "echo", "still").lines == ["still"]
    assert sandbox.run("system", "check").status == 0


def test_a_server_on_trio_starts_containers_beside_each_other(sandbox: Sandbox, busybox: str) -> None:
    context = OperationContext(find_paths(sandbox.env), sandbox.env)
    told: list[str] = []

    async def note(line: str) -> None:
        told.append(line)

    async def serve(workers: TrioWorkers, number: int) -> None:
        def ask(name: str, *arguments: object) -> Request:
            return Request(name, (context, *arguments), environment=sandbox.env)

        asked = ContainerRequest(busybox, f"c{number}", command=("sleep", "1000"), network_mode="none")
        container = await workers.call(ask("container.create", asked), note)
        await workers.call(ask("container.start", container))
        with pytest.raises(ConflictError) as taken:
            await workers.call(ask("container.create", asked), note)
        assert (taken.value.kind, f"c{number}" in taken.value.message) == ("conflict", True)
        document = await workers.call(ask("container.inspect", container))
        assert document["State"]["Running"]
        await workers.call(ask("container.stop", container, StopRequest(timeout_seconds=0)))
        await workers.call(ask("container.remove", container))
        with pytest.raises(NotFoundError):
            await workers.call(ask("container.inspect", container))

    async def main() -> None:
        async with open_workers() as workers, trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(serve, workers, number)

    trio.run(main)
    assert sandbox.run("ps", "-aq").lines == []
    assert state_files(sandbox) == []


def test_what_was_killed_with_the_prepared_process_is_mended(
    sandbox: Sandbox, busybox: str, program: Program, eventually: Callable[[Callable[[], object]], None]
) -> None:
    program.run("run", "-d", "--name", "kept", "--network", "none", busybox, "sleep", "1000")
    calls = [
        program.begin("run", "-d", "--network", "none", "--name", f"c{number}", busybox, "sleep", "1000")
        for number in range(3)
    ]
    os.kill(program.workers.pid, signal.SIGKILL)
    for call in calls:
        try:
            call.result()
        except PreparedProcessError:
            continue

    def states() -> set[str]:
        # what was half started is taken down by its monitor; the rest runs
        return set(sandbox.run("ps", "-a", "--format", "{{.State}}").lines)

    eventually(lambda: states() == {"running"})
    assert sandbox.run("system", "check").status == 0
    assert program.run("ps", "-q", "--filter", "name=kept").count("\n") == 1


def _rounds(normal: int, long: int) -> list[object]:
    return [
        pytest.param(normal, id=f"{normal} rounds"),
        pytest.param(long, id=f"{long} rounds", marks=[pytest.mark.long, pytest.mark.timeout(3600)]),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("rounds", _rounds(4, 200))
def test_a_kill_at_any_moment_leaves_nothing(
    sandbox: Sandbox, busybox: str, eventually: Callable[[Callable[[], object]], None], rounds: int
) -> None:
    """Of the program, of the process that prepares its workers, or of a worker; nor does a cancel."""
    chance = random.Random(_SEED)
    start = time.monotonic()
    assert _run_killed(sandbox, busybox, 3600, "program") == []
    whole_seconds = time.monotonic() - start
    assert sandbox.run("ps", "-a", "--format", "{{.State}}").lines == ["running"] * 3
    for number in range(rounds):
        moment, victim = (
            chance.random() * whole_seconds,
            chance.choice(["program", "calls", "sandbox-warm", "sandbox-worker"]),
        )
        where = f"round {number} of seed {_SEED}: {victim} ended after {moment:.3f} s"
        assert _run_killed(sandbox, busybox, moment, victim) == [], where
        # what was half started is taken down by its monitor; the rest runs
        eventually(lambda: set(sandbox.run("ps", "-a", "--format", "{{.State}}").lines) <= {"running"})
        sandbox.remove_containers()
        assert leaks.wait_processes_gone(str(sandbox.home.root)) == [], where
        assert state_files(sandbox) == [], where
        checked = sandbox.run("system", "check", status=None)
        assert checked.status == 0, f"{where}: {checked.stdout}"


def _run_killed(sandbox: Sandbox, image: str, moment_seconds: float, victim: str) -> list[str]:
    """Run the program, and at the moment kill it, or one of its processes of that name, or have it cancel its calls;
    what is wrong then.
    """
    words = [sys.executable, "-m", "tests.integration.container.warm_program", image]
    with subprocess.Popen(
        words, cwd=REPOSITORY, env=sandbox.home.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as program:
        with suppress(subprocess.TimeoutExpired):
            program.wait(moment_seconds)
        found = _processes(sandbox, victim) if victim.startswith("sandbox-") else [program.pid]
        if found and program.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(found[0], signal.SIGTERM if victim == "calls" else signal.SIGKILL)
        _output, talk = program.communicate(timeout=60)
    for name in ("sandbox-worker", "sandbox-warm"):
        for pid in _processes(sandbox, name):
            leaks.wait_ended(pid)
    # an owner that goes on is told what it was that died
    expected = ("WorkerDied", "PreparedProcess", "OperationCancelled")
    return [line for line in talk.decode().splitlines() if not line.startswith(expected)]


def _processes(sandbox: Sandbox, name: str) -> list[int]:
    found = []
    for line in leaks.processes_of(str(sandbox.home.root)):
        pid = line.partition(" ")[0]
        with suppress(OSError), open(f"/proc/{pid}/comm") as file:
            if file.read().strip() == name:
                found.append(int(pid))
    return found
