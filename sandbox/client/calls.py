"""How a client has operations done: each by a worker, with the client's context as its first argument."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.client.errors import raised_as_api_errors
from sandbox.operation_context import OperationContext
from sandbox.paths import find_paths
from sandbox.warm.workers import Request, Workers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.warm.workers import Call


class Caller:
    """Calls operations of the registry by name. Any thread may; `close` ends those that are on."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Raises APIError where there is no place for images and containers."""
        self.environment = dict(environment)
        with raised_as_api_errors():
            self._context = OperationContext(find_paths(environment), self.environment)
        self._workers = Workers()

    def call(
        self, operation: str, *arguments: object, progress: Callable[[Any], None] | None = None, **named: object
    ) -> Any:  # Any: whatever the operation returns
        """Its result; `progress` gets what it tells on the way. Raises APIError."""
        with raised_as_api_errors():
            return self._workers.call(self._request(operation, arguments, named), progress or _unheard)

    def begin(self, operation: str, *arguments: object, **named: object) -> Call:
        """A call that is on; the caller asks for its result, or closes it. Raises APIError."""
        with raised_as_api_errors():
            return self._workers.begin(self._request(operation, arguments, named))

    def close(self) -> None:
        """Twice is safe."""
        self._workers.close()

    def _request(self, operation: str, arguments: tuple[object, ...], named: Mapping[str, object]) -> Request:
        return Request(operation, (self._context, *arguments), named, self.environment)


def _unheard(_value: object) -> None:
    """Nobody asked for progress."""
