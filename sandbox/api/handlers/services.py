"""Services and their tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api.call import Answer
from sandbox.api.credentials import environment_of
from sandbox.api.documents.filters import read_filters
from sandbox.api.documents.reading import table, text
from sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from sandbox.api.call import Call


async def list_all(call: Call) -> Answer:
    """All of them, or those that pass."""
    call.engine.cluster.check_active()
    filters = read_filters(call.text("filters"))
    return Answer(document=await call.engine.call("api.services", filters, status=call.flag("status")))


async def create(call: Call) -> Answer:
    """Make one; its tasks follow."""
    call.engine.cluster.check_active()
    body = await call.document()
    await _bring_image(call, body)
    service_id = await call.engine.call("api.create_service", body, call.engine.session)
    return Answer(201, {"ID": service_id, "Warnings": None})


async def update(call: Call) -> Answer:
    """Have it be another, or what it was before. Raises ApiError."""
    call.engine.cluster.check_active()
    body = await call.document()
    written = call.text("version")
    if not (written.isascii() and written.isdigit()):
        raise ApiError(
            400, f"invalid service version '{written}': strconv.ParseUint: parsing \"{written}\": invalid syntax"
        )
    if call.text("rollback") not in ("", "previous"):
        raise ApiError(400, f'invalid rollback option "{call.text("rollback")}"')
    if call.text("rollback"):
        await call.engine.call("api.roll_back_service", call.word, int(written))
    else:
        await _bring_image(call, body)
        await call.engine.call("api.update_service", call.word, int(written), body)
    return Answer(document={"Warnings": None})


async def _bring_image(call: Call, body: dict[str, Any]) -> None:
    """Have the image here where the client sends credentials for it, which are used at once."""
    image = text(table(table(body, "TaskTemplate"), "ContainerSpec"), "Image")
    environment = environment_of(call.headers.get("x-registry-auth", ""), image)
    if environment:
        await call.engine.call("api.bring_image", image, environment=environment)


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
    # so a client asks that waits for an update
    filters = tuple(each.removeprefix("_") for each in read_filters(call.text("filters")))
    return Answer(document=await call.engine.call("api.tasks", filters))


async def inspect_task(call: Call) -> Answer:
    """All that is known of one."""
    call.engine.cluster.check_active()
    return Answer(document=await call.engine.call("api.task", call.word))
