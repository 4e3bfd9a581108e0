"""Services and their tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.api.call import Answer
from sandbox.api.documents.filters import read_filters

if TYPE_CHECKING:
    from sandbox.api.call import Call


async def list_all(call: Call) -> Answer:
    """All of them, or those that pass."""
    call.engine.cluster.check_active()
    filters = read_filters(call.text("filters"))
    return Answer(document=await call.engine.call("api.services", filters, status=call.flag("status")))


async def inspect(call: Call) -> Answer:
    """All that is known of one."""
    call.engine.cluster.check_active()
    defaults = call.flag("insertDefaults")
    return Answer(document=await call.engine.call("api.service", call.word, defaults=defaults))


async def remove(call: Call) -> Answer:
    """Remove it."""
    call.engine.cluster.check_active()
    await call.engine.call("api.remove_service", call.word)
    return Answer(200)


async def list_tasks(call: Call) -> Answer:
    """All of them, or those that pass."""
    call.engine.cluster.check_active()
    return Answer(document=await call.engine.call("api.tasks", read_filters(call.text("filters"))))


async def inspect_task(call: Call) -> Answer:
    """All that is known of one."""
    call.engine.cluster.check_active()
    return Answer(document=await call.engine.call("api.task", call.word))
