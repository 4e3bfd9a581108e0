"""Several containers inspected at once, over one connection to the database."""

from __future__ import annotations

from sandbox.container.life.lookup import open_container
from sandbox.container.model.store import find_container
from sandbox.container.request.kept import load_request
from sandbox.container.view.inspect import inspect_container
from sandbox.errors import SandboxError
from sandbox.network.store import endpoints_of
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from typing import Any

    from sandbox.container.model.record import Container
    from sandbox.container.request.request import ContainerRequest
    from sandbox.network.record import Endpoint
    from sandbox.paths import Paths

    Document = dict[str, Any]  # Any: JSON

_SHARED = "container:"


def inspect_containers(paths: Paths, words: Sequence[str], *, with_size: bool) -> list[Document | SandboxError]:
    """For each word the document, or why there is none."""
    found: list[tuple[Container, ContainerRequest | None, tuple[Endpoint, ...]] | SandboxError] = []
    with open_state(paths, durable=False) as connection:
        for word in words:
            try:
                container = open_container(connection, paths, word)
                endpoints = endpoints_of(connection, container.id)
                request = load_request(connection, container.id)
                found.append((*_with_ids(connection, container, request), endpoints))
            except SandboxError as error:
                found.append(error)
    # what measures sizes forks, and must not with the database open
    return [each if isinstance(each, SandboxError) else _document(paths, *each, with_size=with_size) for each in found]


def _with_ids(
    connection: sqlite3.Connection, container: Container, request: ContainerRequest | None
) -> tuple[Container, ContainerRequest | None]:
    """Both with the ids of the containers whose namespaces are shared, where they are still there."""
    config = container.config
    modes = (config.network, config.pid_mode, config.ipc_mode)
    if not any(mode.startswith(_SHARED) for mode in modes):
        return container, request
    network, pid, ipc = (_with_id(connection, mode) for mode in modes)
    shown = container._replace(config=config._replace(network=network, pid_mode=pid, ipc_mode=ipc))
    if request is None or not config.ipc_mode.startswith(_SHARED):
        return shown, request
    return shown, request._replace(ipc_mode=ipc)


def _with_id(connection: sqlite3.Connection, mode: str) -> str:
    if not mode.startswith(_SHARED):
        return mode
    try:
        return _SHARED + find_container(connection, mode.removeprefix(_SHARED)).id
    except SandboxError:
        return mode


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
