"""The nodes of the swarm: this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api.call import Answer
from sandbox.api.documents.filters import read_filters
from sandbox.api.documents.reading import pairs, text
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
    """Give it labels and a name; it stays what it is. Raises ApiError."""
    await _named(call)
    body = await call.document()
    version = call.number("version")
    if version is None:
        raise ApiError(400, "invalid node version '': strconv.ParseUint: parsing \"\": invalid syntax")
    if text(body, "Role") not in ("", "manager"):
        raise ApiError(
            400,
            "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm",
        )
    if text(body, "Availability") not in ("", "active"):
        raise ApiError(501, "this machine is the only node, and stays active: scale services to 0 in its place")
    if not await call.engine.call("api.update_node", version, text(body, "Name"), dict(pairs(body, "Labels"))):
        raise ApiError(500, "rpc error: code = Unknown desc = update out of sequence")
    return Answer(200)


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
