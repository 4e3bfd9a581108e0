"""The swarm of one that this machine is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.api.call import Answer
from sandbox.api.cluster import ALREADY_IN
from sandbox.api.documents.reading import table
from sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from sandbox.api.call import Call

_DONE = Answer(200)


async def inspect(call: Call) -> Answer:
    """Its settings, and the tokens to join it."""
    cluster = call.engine.cluster
    cluster.check_active()
    return Answer(document=cluster.with_tokens(await call.engine.node_id()))


async def init(call: Call) -> Answer:
    """The node's id."""
    body = await call.document()
    call.engine.cluster.init(body, table(body, "Spec"))
    return Answer(document=await call.engine.node_id())


async def join(call: Call) -> Answer:
    """There is no other that it could be in. Raises ApiError."""
    if call.engine.cluster.is_active:
        raise ApiError(503, ALREADY_IN)
    raise ApiError(501, "this machine is a swarm of one, and joins no other")


async def leave(call: Call) -> Answer:
    """Be in none, as far as this server's clients see."""
    call.engine.cluster.leave(force=call.flag("force"))
    return _DONE


async def update(call: Call) -> Answer:
    """Take other settings. Raises ApiError."""
    spec = await call.document()
    version = call.number("version")
    if version is None:
        raise ApiError(400, "invalid swarm version '': strconv.ParseUint: parsing \"\": invalid syntax")
    rotated = tuple(role for role in ("Worker", "Manager") if call.flag(f"rotate{role}Token"))
    call.engine.cluster.update(version, spec, rotated)
    return _DONE


async def unlock_key(call: Call) -> Answer:
    """There is none."""
    call.engine.cluster.check_active()
    return Answer(document={"UnlockKey": ""})


async def unlock(call: Call) -> Answer:
    """It is never locked. Raises ApiError."""
    call.engine.cluster.check_active()
    raise ApiError(409, "swarm is not locked")
