"""The engine itself: ping, version, info, plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.api.call import Answer
from sandbox.system.versions import describe_version

if TYPE_CHECKING:
    from sandbox.api.call import Call

#: what clients ask before anything else; no builder of BuildKit's kind, no cluster
_PING = (
    ("Builder-Version", "1"),
    ("Cache-Control", "no-cache, no-store, must-revalidate"),
    ("Pragma", "no-cache"),
    ("Swarm", "inactive"),
)


async def ping(_call: Call) -> Answer:
    """Asked before everything else: nothing is looked at."""
    return Answer(body=b"OK", content_type="text/plain; charset=utf-8", headers=_PING)


async def version(_call: Call) -> Answer:
    """Which engine this is."""
    return Answer(document=describe_version())


async def info(call: Call) -> Answer:
    """What the machine gives."""
    return Answer(document=await call.engine.call("system.info"))


async def plugins(_call: Call) -> Answer:
    """There are none."""
    return Answer(document=[])
