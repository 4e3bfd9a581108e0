"""The builds of this server, as `docker buildx history` asks for them: kept in memory, the newest."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import trio

from sandbox.api.buildkit.progress import timestamp
from sandbox.api.buildkit.schema import EMPTY, HISTORY_EVENT, HISTORY_REQUEST, HISTORY_UPDATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.api.buildkit.build import Build
    from sandbox.api.buildkit.calls import ServedCall

_MOST = 100
#: events that one who listens may lag behind; of those before he hears no more
_MOST_TOLD = 1000
_STARTED, _COMPLETE, _DELETED = 0, 1, 2


class History:
    """Builds by their refs, in the order in which they began."""

    def __init__(self) -> None:
        self._records: dict[str, dict[str, Any]] = {}
        self._active: dict[str, Build] = {}
        self._told: deque[tuple[int, dict[str, Any]]] = deque(maxlen=_MOST_TOLD)
        #: how many there were ever
        self._count = 0
        self._changed = trio.Event()

    def begin(self, build: Build) -> None:
        """A build has begun."""
        if build.request["internal"]:
            return
        self._active[build.ref] = build
        self._tell(_STARTED, _record(build))

    def end(self, build: Build) -> None:
        """It has ended, and is kept."""
        if self._active.pop(build.ref, None) is None:
            return
        self._records[build.ref] = _record(build)
        if len(self._records) > _MOST:
            del self._records[next(iter(self._records))]
        self._tell(_COMPLETE, self._records[build.ref])

    async def listen(self, call: ServedCall) -> None:
        """Tell of those that there are, and, until the client has enough, of those that come."""
        request = await call.read(HISTORY_REQUEST)
        await call.begin()
        at = self._count
        known = [(_STARTED, _record(build)) for build in self._active.values()]
        if not request["active_only"]:
            known = [*((_COMPLETE, record) for record in self._records.values()), *known]
        for kind, record in known:
            await _send(call, request, kind, record)
        while not request["early_exit"]:
            while at < self._count:
                forgotten = self._count - len(self._told)
                at = max(at, forgotten) + 1
                await _send(call, request, *self._told[at - 1 - forgotten])
            await self._changed.wait()

    async def update(self, call: ServedCall) -> None:
        """Forget one, or pin it."""
        request = await call.read(HISTORY_UPDATE)
        record = self._records.get(request["ref"])
        if record is not None and request["delete"]:
            del self._records[request["ref"]]
            self._tell(_DELETED, record)
        elif record is not None and not request["finalize"]:
            record["pinned"] = request["pinned"]
        await call.write(EMPTY, {})

    def _tell(self, kind: int, record: dict[str, Any]) -> None:
        self._told.append((kind, record))
        self._count += 1
        self._changed.set()
        self._changed = trio.Event()


async def _send(call: ServedCall, request: Mapping[str, Any], kind: int, record: Mapping[str, Any]) -> None:
    if request["ref"] in ("", record["ref"]):
        await call.write(HISTORY_EVENT, {"type": kind, "record": record})


def _record(build: Build) -> dict[str, Any]:
    progress = build.progress
    record: dict[str, Any] = {
        "ref": build.ref,
        "frontend": build.request["frontend"],
        "frontend_attrs": dict(build.attributes),
        "exporters": build.request["exporters"],
        "created_at": timestamp(build.began_ns),
        "exporter_response": build.response,
        "cached_steps": progress.cached,
        "total_steps": progress.total,
        "completed_steps": progress.completed,
        "warnings": progress.warnings,
    }
    if build.ended_ns:
        record["completed_at"] = timestamp(build.ended_ns)
    if build.error is not None:
        record["error"] = {"code": build.error.status, "message": build.error.message}
    return record
