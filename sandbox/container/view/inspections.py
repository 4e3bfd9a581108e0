"""Several containers inspected at once, over one connection to the database."""

from __future__ import annotations

from sandbox.container.life.lookup import open_container
from sandbox.container.request.kept import load_request
from sandbox.container.view.inspect import inspect_container
from sandbox.errors import SandboxError
from sandbox.network.store import endpoints_of
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sandbox.container.model.record import Container
    from sandbox.container.request.request import ContainerRequest
    from sandbox.network.record import Endpoint
    from sandbox.paths import Paths

    Document = dict[str, Any]  # Any: JSON


def inspect_containers(paths: Paths, words: Sequence[str], *, with_size: bool) -> list[Document | SandboxError]:
    """For each word the document, or why there is none."""
    found: list[tuple[Container, ContainerRequest | None, tuple[Endpoint, ...]] | SandboxError] = []
    with open_state(paths, durable=False) as connection:
        for word in words:
            try:
                container = open_container(connection, paths, word)
                endpoints = endpoints_of(connection, container.id)
                found.append((container, load_request(connection, container.id), endpoints))
            except SandboxError as error:
                found.append(error)
    # what measures sizes forks, and must not with the database open
    return [each if isinstance(each, SandboxError) else _document(paths, *each, with_size=with_size) for each in found]


def _document(
    paths: Paths,
    container: Container,
    request: ContainerRequest | None,
    endpoints: tuple[Endpoint, ...],
    *,
    with_size: bool,
) -> Document | SandboxError:
    try:
        return inspect_container(paths, container, request, endpoints, with_size=with_size)
    except SandboxError as error:
        return error
