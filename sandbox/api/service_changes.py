"""Services made and changed by Docker's documents.

What is refused is refused in the words of Docker's swarm, which clients show and scripts look for.
"""

from __future__ import annotations

from contextlib import contextmanager

from sandbox.api.documents.service_request import read_service
from sandbox.api.errors import ApiError
from sandbox.api.session import recorded_in
from sandbox.errors import ConflictError, UsageError
from sandbox.service import operations
from sandbox.service.known_names import known_names
from sandbox.service.looking import inspect, node_of
from sandbox.service.placement import check_placement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sandbox.operation_context import OperationContext
    from sandbox.service.spec import ServiceSpec

_STACK = "com.docker.stack.namespace"


def create(context: OperationContext, body: dict[str, Any], session: str) -> str:
    """Make the service that a document asks for; its id. Raises ApiError."""
    names = known_names(context)
    with _in_words_of_swarm():
        spec = read_service(body, names)
        _check(context, spec)
        with recorded_in(session):
            return operations.create(context, spec, dict(spec.labels).get(_STACK, "")).id


def update(context: OperationContext, word: str, version: int, body: dict[str, Any]) -> None:
    """Have the service be what a document asks for. Raises ApiError, NotFoundError."""
    service, names = inspect(context, word), known_names(context)
    with _in_words_of_swarm():
        spec = read_service(body, names, service.spec)
        _check(context, spec)
        operations.update(context, service.id, version, spec)


def roll_back(context: OperationContext, word: str, version: int) -> None:
    """Have the service be what it was before its last update. Raises ApiError, NotFoundError."""
    service = inspect(context, word)
    with _in_words_of_swarm():
        if service.previous_spec is None:
            raise ApiError(
                400, f"rpc error: code = FailedPrecondition desc = service {service.id} does not have a previous spec"
            )
        operations.rollback(context, service.id, version)


def _check(context: OperationContext, spec: ServiceSpec) -> None:
    if spec.constraints:
        check_placement(spec.constraints, node_of(context))


@contextmanager
def _in_words_of_swarm() -> Iterator[None]:
    try:
        yield
    except ConflictError as error:
        if error.message == operations.OUT_OF_SEQUENCE:
            raise ApiError(500, f"rpc error: code = Unknown desc = {error.message}") from error
        code, status = (
            ("AlreadyExists", 409) if error.message.startswith("name conflicts") else ("InvalidArgument", 400)
        )
        raise ApiError(status, f"rpc error: code = {code} desc = {error.message}") from error
    except UsageError as error:
        cause = f": {error.cause}" if error.cause else ""
        raise ApiError(400, f"rpc error: code = InvalidArgument desc = {error.message}{cause}") from error
