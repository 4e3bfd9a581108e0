"""Secrets and configs, which are served alike."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from sandbox.api.call import NO_CONTENT, Answer
from sandbox.api.documents.filters import read_filters
from sandbox.api.documents.reading import pairs, table, text
from sandbox.api.errors import ApiError
from sandbox.errors import ConflictError
from sandbox.secret.operations import ObjectRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sandbox.api.call import Call
    from sandbox.secret.record import Kind


async def list_all(call: Call) -> Answer:
    """All of a kind, or those that pass."""
    kind = _kind(call)
    return Answer(document=await call.engine.call("api.objects", kind, read_filters(call.text("filters"))))


async def create(call: Call) -> Answer:
    """Keep one. Raises ApiError."""
    kind = _kind(call)
    body = await call.document()
    if table(body, "Driver").get("Name"):
        raise ApiError(501, f"Driver is not supported for a {kind}: there are no plugins that could fetch it")
    template = text(table(body, "Templating"), "Name")
    request = ObjectRequest(text(body, "Name"), _data(body), pairs(body, "Labels"), template)
    return Answer(201, {"ID": await call.engine.call("api.create_object", kind, request, call.engine.session)})


async def inspect(call: Call) -> Answer:
    """All that is known of one: of a secret never its content."""
    kind = _kind(call)
    return Answer(document=await call.engine.call("object.inspect", kind, call.words[1]))


async def update(call: Call) -> Answer:
    """Give it other labels: nothing else changes. Raises ApiError."""
    kind = _kind(call)
    body = await call.document()
    version = call.number("version")
    if version is None:
        raise ApiError(400, f"invalid {kind} version '': strconv.ParseUint: parsing \"\": invalid syntax")
    data = _data(body) if body.get("Data") else None
    refused = await call.engine.call(
        "api.update_object", kind, call.words[1], version, text(body, "Name"), data, pairs(body, "Labels")
    )
    if refused:
        raise ApiError(*refused)
    return Answer(200)


async def remove(call: Call) -> Answer:
    """Remove it. Raises ApiError where a service uses it."""
    kind = _kind(call)
    try:
        await call.engine.call("object.remove", kind, call.words[1])
    except ConflictError as error:
        # Docker's status of it
        raise ApiError(400, error.message) from error
    return NO_CONTENT


def _kind(call: Call) -> Kind:
    """What it is about, of the path. Raises ApiError where there is no swarm that could have it."""
    call.engine.cluster.check_active()
    return "secret" if call.word == "secret" else "config"


def _data(body: Mapping[str, Any]) -> bytes:
    try:
        return base64.b64decode(text(body, "Data"), validate=True)
    except (binascii.Error, ValueError):
        raise ApiError(400, "illegal base64 data: Data is the content in base64") from None
