"""A client's events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.client.errors import raised_as_api_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.warm.workers import Call


class EventStream:
    """Events as they come, each Docker's document of it. The end of it, and `close`, give the call up."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._documents: Iterator[dict[str, Any]] = iter(call)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        with raised_as_api_errors():
            for document in self._documents:
                return document
            self._call.result()
        raise StopIteration

    def close(self) -> None:
        """Read no more; twice is safe."""
        self._call.close()
