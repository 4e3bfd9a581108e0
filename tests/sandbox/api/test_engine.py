"""What all connections of a server share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import trio
import trio.testing

from sandbox.api.engine import Engine, ServerOptions
from sandbox.doctor.check import Check
from sandbox.paths import find_paths
from sandbox.system.information import Tried

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.warm.line import Request
    from sandbox.warm.trio_workers import TrioWorkers

_TRIED = Tried((Check("tun", "ok", "is there"),), "overlay", "it works")


class _Workers:
    """Does nothing, and notes what it is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []

    async def call(self, request: Request) -> Any:
        self.asked.append((request.operation, request.arguments[-1]))
        return _TRIED if request.operation == "system.try_machine" else {"Driver": "overlay"}


def test_the_machine_is_tried_once_a_minute_however_often_info_is_asked_for(tmp_path: Path) -> None:
    workers, clock = _Workers(), trio.testing.MockClock()

    async def ask() -> None:
        async with trio.open_nursery() as nursery:
            paths = find_paths({"HOME": str(tmp_path)})
            engine = Engine(paths, {}, cast("TrioWorkers", workers), nursery, ServerOptions())
            for _time in range(3):
                assert await engine.info() == {"Driver": "overlay"}
            clock.jump(61)
            await engine.info()
            nursery.cancel_scope.cancel()

    trio.run(ask, clock=clock)
    names = [name.removeprefix("system.") for name, _argument in workers.asked]
    assert names == ["try_machine", "info", "info", "info", "try_machine", "info"]
    assert all(argument == _TRIED for name, argument in workers.asked if name == "system.info")
