"""Images on their way: pulled, pushed, loaded, saved, searched for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api.call import Answer
from sandbox.api.credentials import environment_of
from sandbox.api.documents.filters import read_filters
from sandbox.api.errors import ApiError
from sandbox.api.handlers.files import send_output
from sandbox.api.message_stream import MessageStream
from sandbox.api.pipes import feed
from sandbox.warm.values import Descriptor

if TYPE_CHECKING:
    from sandbox.api.call import Call
    from sandbox.api.message_stream import Tell


async def create(call: Call) -> None:
    """Bring an image here from a registry, or make one of an archive. Raises ApiError."""
    if call.text("fromSrc"):
        await _import(call)
        return
    name, tag = call.text("fromImage"), call.text("tag")
    if not name:
        raise ApiError(400, "neither fromImage nor fromSrc was given")
    if tag:
        name = f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
    # without a tag the engine is asked for all of them
    last = name.rpartition("/")[2]
    all_tags = ":" not in last and "@" not in last
    platform = call.text("platform") or None
    environment = environment_of(call.headers.get("x-registry-auth", ""), name)

    async def pull(tell: Tell) -> None:
        await call.engine.call("api.pull", name, platform, all_tags, progress=tell, environment=environment)

    await MessageStream(call).carry(pull)


async def _import(call: Call) -> None:
    source, name, tag = call.text("fromSrc"), call.text("repo"), call.text("tag")
    if name and tag:
        name = f"{name}:{tag}"
    words = (source, name, call.text("message"), call.text("platform"), tuple(call.query.get("changes", ())))

    async def act(tell: Tell) -> None:
        async def run(fd: int) -> None:
            await call.engine.call("api.import", *words, call.engine.session, Descriptor(fd), progress=tell)

        await feed(call.body(), run)

    await MessageStream(call, reads_body=True).carry(act)


async def push(call: Call) -> None:
    """Bring an image, or with no tag all of a repository, to its registry."""
    name, tag = call.word, call.text("tag")
    if tag:
        name = f"{name}:{tag}"
    environment = environment_of(call.headers.get("x-registry-auth", ""), name)

    async def act(tell: Tell) -> None:
        await call.engine.call("api.push", name, not tag, progress=tell, environment=environment)

    await MessageStream(call).carry(act)


async def load(call: Call) -> None:
    """Bring the images of an archive here."""

    async def act(tell: Tell) -> None:
        async def run(fd: int) -> None:
            await call.engine.call("api.load", Descriptor(fd), progress=tell)

        await feed(call.body(), run)

    await MessageStream(call, reads_body=True, fails_in_stream=True).carry(act)


async def save(call: Call) -> None:
    """An archive of images."""
    await send_output(call, "image.save", list(call.query.get("names", ())))


async def save_one(call: Call) -> None:
    """An archive of one."""
    await send_output(call, "image.save", [call.word])


async def search(call: Call) -> Answer:
    """What a registry finds."""
    filters = read_filters(call.text("filters"))
    words = (call.text("term"), call.number("limit") or 0, filters)
    environment = environment_of(call.headers.get("x-registry-auth", ""), call.text("term"))
    found: list[dict[str, Any]] = await call.engine.call("image.search", *words, environment=environment)
    return Answer(document=found)
