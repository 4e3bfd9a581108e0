"""The nodes of the swarm: this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api.call import Answer
from sandbox.api.documents.filters import read_filters
from sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from sandbox.api.call import Call


async def list_all(call: Call) -> Answer:
    """It, where it passes the filters."""
    call.engine.cluster.check_active()
    return Answer(document=await call.engine.call("api.nodes", read_filters(call.text("filters"))))


async def inspect(call: Call) -> Answer:
    """All that is known of it."""
    return Answer(document=await _named(call))


async def update(call: Call) -> Answer:
    """Nothing of it can be changed. Raises ApiError."""
    await _named(call)
    raise ApiError(501, "labels, role and availability of this machine's node cannot be changed")


async def remove(call: Call) -> Answer:
    """It stays. Raises ApiError."""
    node = await _named(call)
    raise ApiError(
        400,
        f"rpc error: code = FailedPrecondition desc = node {node['ID']} is a cluster manager and is a member of the"
        " raft cluster. It must be demoted to worker before removal",
    )


async def _named(call: Call) -> dict[str, Any]:
    call.engine.cluster.check_active()
    (node,) = await call.engine.call("api.nodes", ())
    word = call.word
    if word not in ("self", node["Description"]["Hostname"]) and not node["ID"].startswith(word):
        raise ApiError(404, f"node {word} not found")
    found: dict[str, Any] = node
    return found
