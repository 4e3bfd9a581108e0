"""The build cache, as `docker buildx du` and `prune` ask for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sandbox.api.buildkit.progress import timestamp
from sandbox.api.buildkit.schema import DISK_USAGE_REQUEST, DISK_USAGE_RESPONSE, PRUNE_REQUEST, USAGE_RECORD

if TYPE_CHECKING:
    from sandbox.api.buildkit.calls import ServedCall
    from sandbox.api.engine import Engine
    from sandbox.builder.cache.cache_usage import CacheRecord


async def disk_usage(engine: Engine, call: ServedCall) -> None:
    """All records, the last used first."""
    await call.read(DISK_USAGE_REQUEST)
    usage = await engine.call("builder.usage")
    await call.write(DISK_USAGE_RESPONSE, {"record": [_described(record) for record in usage.records]})


async def prune(engine: Engine, call: ServedCall) -> None:
    """Remove what passes the filters, and tell of each."""
    request = await call.read(PRUNE_REQUEST)
    filters = [text.replace("==", "=") for text in request["filter"]]
    if request["keep_duration"]:
        filters.append(f"until={(time.time_ns() - request['keep_duration']) // 10**9}")
    keep = request["reserved_space"] or request["max_used_space"]
    records, _freed = await engine.call("builder.prune", filters, shared=request["all"], keep_bytes=keep or None)
    await call.begin()
    for record in records:
        await call.write(USAGE_RECORD, _described(record))


def _described(record: CacheRecord) -> dict[str, Any]:
    return {
        "id": record.id.removeprefix("sha256:"),
        "size": record.size_bytes,
        "created_at": timestamp(record.created_ns),
        "last_used_at": timestamp(record.used_ns),
        "usage_count": record.uses,
        "description": record.description,
        "record_type": record.kind,
        "shared": record.shared,
    }
