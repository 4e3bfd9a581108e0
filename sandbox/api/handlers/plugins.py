"""Plugins, of which there are none: they run as root."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from sandbox.api.call import Answer
from sandbox.api.documents.filters import read_filters
from sandbox.api.errors import ApiError

if TYPE_CHECKING:
    from sandbox.api.call import Call

_FILTERS = ("capability", "enabled")


async def list_all(call: Call) -> Answer:
    """None. Raises ApiError for a filter that there is not."""
    for text in read_filters(call.text("filters")):
        key = text.partition("=")[0]
        if key not in _FILTERS:
            raise ApiError(400, f"invalid filter '{key}'")
    return Answer(document=[])


async def find(call: Call) -> NoReturn:
    """Whatever one is asked for is not there. Raises ApiError."""
    raise ApiError(404, f'plugin "{call.word}" not found')


async def refuse(_call: Call) -> NoReturn:
    """None can be had. Raises ApiError."""
    raise ApiError(501, "plugins are not supported: they run as root beside the engine, and here is neither")
