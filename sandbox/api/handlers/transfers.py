"""Images on their way: pulled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.api.credentials import environment_of
from sandbox.api.errors import ApiError
from sandbox.api.message_stream import MessageStream

if TYPE_CHECKING:
    from sandbox.api.call import Call


async def create(call: Call) -> None:
    """Bring an image here from a registry. Raises ApiError."""
    name, tag = call.text("fromImage"), call.text("tag")
    if not name:
        raise ApiError(501, "import is not supported yet")
    if tag:
        name = f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
    # without a tag the engine is asked for all of them
    last = name.rpartition("/")[2]
    all_tags = ":" not in last and "@" not in last
    platform = call.text("platform") or None
    messages = MessageStream(call)
    await messages.carry(
        lambda tell: call.engine.call(
            "api.pull", name, platform, all_tags, progress=tell,
            environment=environment_of(call.headers.get("x-registry-auth", ""), name),
        )
    )  # fmt: skip
