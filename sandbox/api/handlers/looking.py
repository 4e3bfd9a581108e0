"""What can be seen of containers that run: processes, and what they take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api.call import Answer, encoded

if TYPE_CHECKING:
    from sandbox.api.call import Call


async def top(call: Call) -> Answer:
    """Its processes."""
    table = await call.engine.call("container.top", call.word, call.text("ps_args"))
    return Answer(document={"Titles": list(table.titles), "Processes": [list(row) for row in table.rows]})


async def stats(call: Call) -> Answer | None:
    """What it takes: once, or each second until the client goes."""
    engine = call.engine
    brief = await engine.brief(call.word)
    stream = call.flag("stream", default=True)
    if not stream:
        found: list[dict[str, Any]] = []

        async def keep(document: dict[str, Any]) -> None:
            found.append(document)

        one_shot = call.flag("one-shot")
        await engine.call("container.stats", brief.id, progress=keep, stream=False, one_shot=one_shot)
        return Answer(document=found[0])
    async with call.stream() as out:

        async def send(document: dict[str, Any]) -> None:
            await out.write(encoded(document) + b"\n")

        await engine.call("container.stats", brief.id, progress=send, stream=True)
    return None
