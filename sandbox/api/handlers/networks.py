"""Networks, and the containers on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api.call import NO_CONTENT, Answer
from sandbox.api.documents.endpoint_request import endpoint_of
from sandbox.api.documents.filters import read_filters
from sandbox.api.documents.network_request import read_network
from sandbox.api.documents.reading import flag, table, text
from sandbox.api.errors import ApiError
from sandbox.errors import NotFoundError

if TYPE_CHECKING:
    from sandbox.api.call import Call

_DONE = Answer(200)


async def list_all(call: Call) -> Answer:
    """All of them, or those that pass."""
    return Answer(document=await call.engine.call("api.networks", read_filters(call.text("filters"))))


async def create(call: Call) -> Answer:
    """Make one."""
    request = read_network(await call.document())
    network_id, notes = await call.engine.call("api.create_network", request, call.engine.session)
    return Answer(201, {"Id": network_id, "Warning": "\n".join(notes)})


async def inspect(call: Call) -> Answer:
    """All that is known of one. Raises ApiError."""
    document: dict[str, Any] = await call.engine.call("network.inspect", call.word)
    call.boolean("verbose")
    if call.text("scope") not in ("", document["Scope"]):
        raise ApiError(404, f"network {call.word} not found")
    return Answer(document=document)


async def remove(call: Call) -> Answer:
    """Remove it."""
    await call.engine.call("api.remove_network", call.word)
    return NO_CONTENT


async def connect(call: Call) -> Answer:
    """Put a container on it. Raises ApiError."""
    body = await call.document()
    container = text(body, "Container")
    if not container:
        raise ApiError(400, 'invalid name or ID supplied: ""')
    document: dict[str, Any] = await call.engine.call("network.inspect", call.word)
    endpoint = endpoint_of(document["Name"], table(body, "EndpointConfig"))
    await call.engine.call("network.connect", container, endpoint)
    return _DONE


async def disconnect(call: Call) -> Answer:
    """Take a container off it."""
    body = await call.document()
    document: dict[str, Any] = await call.engine.call("network.inspect", call.word)
    words = (text(body, "Container"), document["Name"])
    try:
        await call.engine.call("network.disconnect", *words)
    except NotFoundError:
        # force is for what a container that is gone has left
        if not flag(body, "Force"):
            raise
        await call.engine.call("network.disconnect", *words, force=True)
    return _DONE


async def prune(call: Call) -> Answer:
    """Remove those that nobody uses."""
    names = await call.engine.call("network.prune", read_filters(call.text("filters")))
    return Answer(document={"NetworksDeleted": list(names) or None})
