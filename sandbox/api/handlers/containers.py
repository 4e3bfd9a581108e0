"""Containers as things: listed, made, looked at, renamed, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api.call import NO_CONTENT, Answer
from sandbox.api.documents.create_request import (
    read_create,
    read_limits,
    read_restart,
    refuse_several_networks,
)
from sandbox.api.documents.filters import read_filters
from sandbox.api.documents.unheld_fields import discarded, refuse_fields
from sandbox.api.glances import glance_all
from sandbox.container.operations import ListRequest
from sandbox.container.request.request import ContainerRequest
from sandbox.docker_sockets import with_socket
from sandbox.grammar.networks import is_user_defined

if TYPE_CHECKING:
    from sandbox.api.call import Call

_SEVERAL_NETWORKS_SINCE, _NO_ID_ALIASES_SINCE = (1, 44), (1, 45)


async def list_all(call: Call) -> Answer:
    """The short documents of those that run, or of all."""
    limit = call.number("limit") or 0
    filters = [*read_filters(call.text("filters"))]
    filters += [f"{key}={call.text(key)}" for key in ("since", "before") if call.text(key)]
    if not filters and limit <= 0 and not call.flag("size"):
        found = glance_all(call.engine.context, all=call.flag("all"))
        if found is not None:
            return Answer(document=found)
    request = ListRequest(tuple(filters), call.flag("all"), limit if limit > 0 else None)
    return Answer(document=await call.engine.call("api.summaries", request, with_size=call.flag("size")))


async def create(call: Call) -> Answer:
    """Make one; its image must be here."""
    body = await call.document()
    if call.version < _SEVERAL_NETWORKS_SINCE:
        refuse_several_networks(body)
    read = read_create(body, call.text("name").removeprefix("/"), call.text("platform"))
    request = with_socket(read.request, call.engine.socket_path)
    container_id, warnings = await call.engine.call("api.create", request, call.engine.session)
    return Answer(201, {"Id": container_id, "Warnings": [*read.warnings, *warnings]})


async def inspect(call: Call) -> Answer:
    """All that is known of one."""
    document = await call.engine.call("container.inspect", call.word, with_size=call.flag("size"))
    if call.version < _NO_ID_ALIASES_SINCE:
        _name_by_id(document)
    document["ExecIDs"] = call.engine.execs.of_container(document["Id"]) or None
    return Answer(document=document)


def _name_by_id(document: dict[str, Any]) -> None:
    """Put the short id and the host name among the aliases, where Docker had them once."""
    names = (document["Id"][:12], document["Config"]["Hostname"])
    for network, endpoint in document["NetworkSettings"]["Networks"].items():
        if is_user_defined(network):
            endpoint["Aliases"] = list(dict.fromkeys((*(endpoint["Aliases"] or ()), *names)))


async def rename(call: Call) -> Answer:
    """Give it another name."""
    await call.engine.call("container.rename", call.word, call.text("name").removeprefix("/"))
    return NO_CONTENT


async def remove(call: Call) -> Answer:
    """Remove it, by force while it runs, with its nameless volumes."""
    if call.flag("link"):
        await call.engine.call("container.remove_link", call.word)
        return NO_CONTENT
    await call.engine.call("container.remove", call.word, force=call.flag("force"), volumes=call.flag("v"))
    return NO_CONTENT


async def update(call: Call) -> Answer:
    """Change its limits and its restart policy."""
    body = await call.document()
    refuse_fields(body, {})
    left_out = [*discarded(body)]
    wanted = read_limits(body, ContainerRequest())._replace(rlimits=(), restart=read_restart(body), best_effort=True)
    notes = await call.engine.call("container.update", call.word, wanted)
    return Answer(document={"Warnings": [*left_out, *notes] or None})


async def prune(call: Call) -> Answer:
    """Remove those that do not run."""
    ids, freed = await call.engine.call("container.prune", read_filters(call.text("filters")))
    return Answer(document={"ContainersDeleted": list(ids) or None, "SpaceReclaimed": freed})
