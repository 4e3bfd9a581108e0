"""Volumes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from sandbox.api.call import NO_CONTENT, Answer
from sandbox.api.documents.filters import read_filters
from sandbox.api.documents.reading import pairs, text
from sandbox.api.errors import ApiError
from sandbox.volume.operations import VolumeRequest

if TYPE_CHECKING:
    from sandbox.api.call import Call

#: from here on a prune takes the unnamed ones alone, where nothing else is said
_UNNAMED_SINCE = (1, 42)


async def list_all(call: Call) -> Answer:
    """All of them, or those that pass."""
    documents = await call.engine.call("api.volumes", read_filters(call.text("filters")))
    return Answer(document={"Volumes": documents, "Warnings": None})


async def create(call: Call) -> Answer:
    """Make one, or find the one of that name."""
    body = await call.document()
    request = VolumeRequest(
        text(body, "Name"), pairs(body, "Labels"), text(body, "Driver") or "local", pairs(body, "DriverOpts")
    )
    return Answer(201, await call.engine.call("api.create_volume", request, call.engine.session))


async def inspect(call: Call) -> Answer:
    """All that is known of one."""
    return Answer(document=await call.engine.call("volume.inspect", call.word))


async def update(call: Call) -> NoReturn:
    """Only those of a cluster are changed, and there are none. Raises ApiError."""
    await call.engine.call("volume.inspect", call.word)
    raise ApiError(400, "volume update only valid for cluster volumes, but swarm is unavailable")


async def remove(call: Call) -> Answer:
    """Remove it with its data."""
    await call.engine.call("volume.remove", call.word, force=call.flag("force"))
    return NO_CONTENT


async def prune(call: Call) -> Answer:
    """Remove those that nobody mounts."""
    filters = read_filters(call.text("filters"))
    named = call.version < _UNNAMED_SINCE
    names, freed = await call.engine.call("volume.prune", filters, named=named)
    return Answer(document={"VolumesDeleted": list(names) or None, "SpaceReclaimed": freed})
