"""Operations of a worker in the shape that a client calls them in: services and stacks. Results are documents."""

from __future__ import annotations

from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from sandbox.container.model.record import Container
    from sandbox.container.view.log_entries import LogEntry
    from sandbox.container.view.logs import LogSelection
    from sandbox.operation_context import OperationContext

    Document = dict[str, Any]  # Any: JSON


def create_service(context: OperationContext, body: Document) -> str:
    """Make the service that Docker's document asks for; its id. Raises UsageError, NotSupportedError, ConflictError."""
    from sandbox.api.documents.service_request import read_service
    from sandbox.image.pinning import pinned
    from sandbox.service.known_names import known_names
    from sandbox.service.operations import create

    with _as_ours():
        spec = read_service(body, known_names(context))
    image = pinned(context, spec.request.image).image if spec.request.image else ""
    return create(context, spec._replace(request=spec.request._replace(image=image))).id


def update_service(context: OperationContext, word: str, version: int, body: Document) -> None:
    """Have it be what Docker's document asks for. Raises as `create_service`, and NotFoundError."""
    from sandbox.api.documents.service_request import read_service
    from sandbox.service.known_names import known_names
    from sandbox.service.looking import inspect
    from sandbox.service.operations import update

    service = inspect(context, word)
    with _as_ours():
        spec = read_service(body, known_names(context), service.spec)
    update(context, service.id, version, spec)


def scale_service(context: OperationContext, word: str, replicas: int) -> None:
    """Have so many replicas. Raises UsageError, NotFoundError."""
    from sandbox.service.operations import scale

    scale(context, word, replicas)


@contextmanager
def _as_ours() -> Iterator[None]:
    """Raise what the server would answer with its status by its kind."""
    from sandbox.api.errors import ApiError
    from sandbox.errors import NotSupportedError, UsageError

    try:
        yield
    except ApiError as error:
        kind = NotSupportedError if error.status == 501 else UsageError
        raise kind(error.message) from error


def follow_logs(
    context: OperationContext, word: str, selection: LogSelection, *, follow: bool, tell: Callable[[LogEntry], None]
) -> None:
    """Tell what the tasks of a service wrote, with `follow` until it is removed. Raises NotFoundError."""
    from sandbox.container import following
    from sandbox.service.log_sources import log_sources

    sources = log_sources(context, word)

    def told(_container: Container, entry: LogEntry) -> None:
        tell(entry)

    if not follow:
        for container, entry in following.read_logs(context, sources.containers, selection):
            told(container, entry)
        return
    are_over = sources.are_over if sources.service_id else None
    newcomers = following.Newcomers(sources.last_event, sources.takes, are_over)
    sink = following.LogSink(told, lambda _container, _code: None)
    following.follow_logs(context, sources.containers, selection, newcomers, sink)


def stacks(context: OperationContext) -> list[tuple[str, int]]:
    """The names of all stacks, and how many services each has."""
    from sandbox.deploy.local_engine import LocalEngine

    return [(stack.name, stack.services) for stack in LocalEngine(context).stacks()]


def remove_stack(context: OperationContext, name: str) -> None:
    """Remove all of a stack. Raises NotFoundError, ConflictError where something of it is in use."""
    from sandbox.deploy.local_engine import LocalEngine
    from sandbox.errors import ConflictError, NotFoundError

    removed = LocalEngine(context).remove(name, lambda _line: None)
    if not removed.found:
        raise NotFoundError(f"nothing found in stack: {name}", mend="sandbox stack ls", word=name)
    if removed.failures:
        raise ConflictError(f"failed to remove some resources from stack: {name}", cause="; ".join(removed.failures))
