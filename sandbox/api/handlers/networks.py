"""Networks, and the containers on them."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sandbox.api.call import NO_CONTENT, Answer
from sandbox.api.documents.endpoint_request import endpoint_of
from sandbox.api.documents.filters import read_filters
from sandbox.api.documents.network_request import read_network
from sandbox.api.documents.reading import flag, table, text
from sandbox.api.errors import ApiError
from sandbox.errors import ConflictError, NotFoundError
from sandbox.network.record import PREDEFINED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.api.call import Call

_DONE = Answer(200)
#: how its errors of that kind begin
_FORBIDDEN = ("invalid pool request", "only one instance of", "endpoint with name ", "Address already in use")


async def list_all(call: Call) -> Answer:
    """All of them, or those that pass."""
    return Answer(document=await call.engine.call("api.networks", read_filters(call.text("filters"))))


async def create(call: Call) -> Answer:
    """Make one. Raises ApiError."""
    request = read_network(await call.document())
    if request.name in (*PREDEFINED, "default"):
        raise ApiError(403, f"operation is not permitted on predefined {request.name} network")
    with _forbidden():
        network_id, notes = await call.engine.call("api.create_network", request, call.engine.session)
    return Answer(201, {"Id": network_id, "Warning": "\n".join(notes)})


async def inspect(call: Call) -> Answer:
    """All that is known of one. Raises ApiError."""
    document: dict[str, Any] = await call.engine.call("network.inspect", call.word)
    if call.text("scope") not in ("", document["Scope"]):
        raise ApiError(404, f"network {call.word} not found")
    return Answer(document=document)


async def remove(call: Call) -> Answer:
    """Remove it. Raises ApiError."""
    try:
        await call.engine.call("api.remove_network", call.word)
    except ConflictError as error:
        # what is in use, or is always there, is forbidden to Docker
        raise ApiError(403, error.message) from error
    return NO_CONTENT


async def connect(call: Call) -> Answer:
    """Put a container on it."""
    body = await call.document()
    document: dict[str, Any] = await call.engine.call("network.inspect", call.word)
    endpoint = endpoint_of(document["Name"], table(body, "EndpointConfig"))
    with _forbidden():
        await call.engine.call("network.connect", text(body, "Container"), endpoint)
    return _DONE


@contextmanager
def _forbidden() -> Iterator[None]:
    """What Docker calls forbidden is in conflict with a subnet, an address or a place that is taken, and not with a
    name.
    """
    try:
        yield
    except ConflictError as error:
        if error.message.startswith(_FORBIDDEN):
            raise ApiError(403, error.message) from error
        raise


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
