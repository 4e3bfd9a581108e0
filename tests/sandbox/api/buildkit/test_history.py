"""The history of builds: who listens hears what comes, in order, and a server that builds for days keeps the newest."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

from sandbox.api.buildkit.calls import ask, made_call
from sandbox.api.buildkit.history import History
from sandbox.api.buildkit.protobuf import decode, encode
from sandbox.api.buildkit.schema import EMPTY, HISTORY_EVENT, HISTORY_REQUEST, HISTORY_UPDATE
from tests.sandbox.api.buildkit.links import joined

if TYPE_CHECKING:
    from sandbox.api.buildkit.build import Build

_STARTED, _COMPLETE, _DELETED = 0, 1, 2
_KEPT = 100


def _build(ref: str) -> Build:
    progress = SimpleNamespace(cached=0, total=1, completed=1, warnings=0)
    request = {"internal": False, "frontend": "dockerfile.v0", "exporters": []}
    made: Any = SimpleNamespace(
        ref=ref, request=request, attributes={}, response={}, progress=progress, began_ns=1, ended_ns=2, error=None
    )
    return made  # type: ignore[no-any-return]  # as much of a build as is told of


def test_who_listens_hears_of_each_build_and_the_newest_are_kept() -> None:
    history = History()
    calls = {"s.S/Listen": history.listen, "s.S/Update": history.update}

    async def main() -> None:
        async with joined(calls) as link:

            async def told(request: dict[str, Any], count: int) -> list[tuple[int, str]]:
                async with made_call(link, "s.S/Listen") as call:
                    await call.send(encode(HISTORY_REQUEST, request))
                    await call.send_end()
                    heard: list[tuple[int, str]] = []
                    while len(heard) < count and (message := await call.receive()) is not None:
                        event = decode(HISTORY_EVENT, message)
                        heard.append((event["type"], event["record"]["ref"]))
                    return heard

            for number in range(_KEPT + 10):
                history.begin(_build(f"old{number}"))
                history.end(_build(f"old{number}"))
            newest = [(_COMPLETE, f"old{number}") for number in range(10, _KEPT + 10)]
            assert await told({"early_exit": True}, _KEPT + 10) == newest
            history.begin(_build("on"))
            async with trio.open_nursery() as nursery:

                async def listen() -> None:
                    assert await told({"active_only": True}, 4) == [
                        (_STARTED, "on"), (_COMPLETE, "on"), (_STARTED, "next"), (_DELETED, "old50"),
                    ]  # fmt: skip

                nursery.start_soon(listen)
                await trio.testing.wait_all_tasks_blocked()
                history.end(_build("on"))
                history.begin(_build("next"))
                await ask(link, "s.S/Update", (HISTORY_UPDATE, EMPTY), {"ref": "old50", "delete": True})

    trio.run(main)


def test_who_lags_far_behind_hears_the_newest() -> None:
    history = History()

    async def main() -> None:
        async with joined({"s.S/Listen": history.listen}) as link, made_call(link, "s.S/Listen") as call:
            await call.send(encode(HISTORY_REQUEST, {}))
            await call.send_end()
            await trio.testing.wait_all_tasks_blocked()
            for number in range(3000):
                history.begin(_build(f"b{number}"))
            heard = [decode(HISTORY_EVENT, await call.receive() or b"")["record"]["ref"] for _ in range(1000)]
            assert heard == [f"b{number}" for number in range(2000, 3000)]

    trio.run(main)
