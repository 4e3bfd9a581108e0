"""Calls from trio, to real workers of a real prepared process."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from sandbox.errors import NotFoundError, UsageError
from sandbox.warm.failures import PreparedProcessError, WorkerDiedError
from sandbox.warm.line import Request
from sandbox.warm.trio_workers import TrioWorkers, open_workers
from sandbox.warm.values import Descriptor
from tests import leaks
from tests.sandbox.warm.conftest import REGISTRY, children_of, is_there

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.sandbox.warm.conftest import Pipe


def _run(body: Callable[[TrioWorkers], Awaitable[None]]) -> None:
    async def main() -> None:
        with trio.fail_after(120):
            async with open_workers(REGISTRY) as workers:
                await body(workers)

    trio.run(main)


def test_values_errors_and_descriptors_go_there_and_back(make_pipe: Callable[[], Pipe]) -> None:
    pipe = make_pipe()

    async def body(workers: TrioWorkers) -> None:
        value = [bytes(13 << 20), {"a": (1, None)}]
        assert await workers.call(Request("echo", (value,))) == value
        with pytest.raises(NotFoundError) as error:
            await workers.call(Request("fail", ("not-found",)))
        assert error.value.word == "x"
        with pytest.raises(UsageError):
            await workers.call(Request("nothing"))
        with pytest.raises(WorkerDiedError):
            await workers.call(Request("end", (9,)))
        copy = await workers.call(Request("echo", (Descriptor(pipe.writes),)))
        os.write(copy, b"x")
        os.close(copy)
        assert pipe.read() == b"x"
        assert children_of(workers.pid) == set()

    _run(body)


def test_progress_is_awaited_in_order() -> None:
    told: list[object] = []

    async def listen(value: object) -> None:
        await trio.lowlevel.checkpoint()
        told.append(value)

    async def body(workers: TrioWorkers) -> None:
        assert await workers.call(Request("count", (300,)), listen) == 300

    _run(body)
    assert told == list(range(300))


def test_many_tasks_call_at_once() -> None:
    results: dict[int, object] = {}

    async def one(workers: TrioWorkers, number: int) -> None:
        results[number] = await workers.call(Request("echo", (number,)))

    async def body(workers: TrioWorkers) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(one, workers, number)

    _run(body)
    assert results == {number: number for number in range(50)}


def test_a_cancelled_task_ends_its_worker(make_pipe: Callable[[], Pipe]) -> None:
    arrived, tidied = make_pipe(), make_pipe()

    async def hold(workers: TrioWorkers) -> None:
        await workers.call(Request("hold", (Descriptor(arrived.writes), Descriptor(tidied.writes))))

    async def body(workers: TrioWorkers) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold, workers)
            await trio.lowlevel.wait_readable(arrived.reads)
            pid = int(arrived.read())
            nursery.cancel_scope.cancel()
        assert tidied.read() == b"tidied"
        assert not is_there(pid)
        assert await workers.call(Request("echo", (1,))) == 1

    _run(body)


def test_a_listener_that_fails_ends_the_worker() -> None:
    async def fail(value: object) -> None:
        raise ValueError(value)

    async def body(workers: TrioWorkers) -> None:
        with pytest.raises(ValueError, match="0"):
            await workers.call(Request("count", (1 << 30,)), fail)
        assert children_of(workers.pid) == set()

    _run(body)


def test_a_prepared_process_that_was_killed_is_started_again(make_pipe: Callable[[], Pipe]) -> None:
    arrived, tidied = make_pipe(), make_pipe()
    others = leaks.children()

    async def hold(workers: TrioWorkers) -> None:
        with pytest.raises(PreparedProcessError, match="died during hold"):
            await workers.call(Request("hold", (Descriptor(arrived.writes), Descriptor(tidied.writes))))

    async def body(workers: TrioWorkers) -> None:
        workers.start()
        os.kill(workers.pid, signal.SIGKILL)
        assert await workers.call(Request("echo", (1,))) == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold, workers)
            await trio.lowlevel.wait_readable(arrived.reads)
            os.kill(workers.pid, signal.SIGKILL)
        assert await workers.call(Request("echo", (2,))) == 2
        assert leaks.children() - others == {workers.pid}

    _run(body)


def test_one_that_was_not_begun_is_made_again() -> None:
    async def body(workers: TrioWorkers) -> None:
        workers.start()
        os.kill(workers.pid, signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workers.call, Request("echo", (1,)))
            await trio.testing.wait_all_tasks_blocked()
            os.kill(workers.pid, signal.SIGKILL)
        assert await workers.call(Request("echo", (2,))) == 2

    _run(body)


def test_the_end_of_the_block_ends_the_workers(make_pipe: Callable[[], Pipe]) -> None:
    arrived, tidied = make_pipe(), make_pipe()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            workers = TrioWorkers(REGISTRY)
            hold = Request("hold", (Descriptor(arrived.writes), Descriptor(tidied.writes)))
            nursery.start_soon(workers.call, hold)
            await trio.lowlevel.wait_readable(arrived.reads)
            pid = int(arrived.read())
            nursery.cancel_scope.cancel()
            await workers.aclose()
        assert not is_there(pid)
        with pytest.raises(PreparedProcessError, match="closed"):
            await workers.call(Request("echo", (1,)))

    trio.run(main)
    assert tidied.read() == b"tidied"
