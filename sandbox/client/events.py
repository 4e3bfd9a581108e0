"""A client's events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.client.output import CallStream

if TYPE_CHECKING:
    from collections.abc import Iterator


class EventStream(CallStream):
    """Events as they come, each Docker's document of it. The end of it, and `close`, give the call up."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        document: dict[str, Any] = self._next()
        return document
