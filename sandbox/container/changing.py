"""What is changed of a container that is there: limits, restart policy, published ports, its terminal's size.

Operations as those of `operations`: values in; values, events and errors out.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.request.request import ContainerRequest
    from sandbox.operation_context import OperationContext
    from sandbox.values import PublishedPort


def update(context: OperationContext, word: str, wanted: ContainerRequest) -> tuple[str, ...]:
    """Change the container's limits and restart policy to what `wanted` says of them (`request.updating.UPDATABLE`), at
    once where it runs; what is not enforced comes back, a sentence each.

    Raises NotFoundError, UsageError, ConflictError; HostError for a limit that cannot be held.
    """
    from sandbox.container.life.updating import update_container

    return update_container(context.paths, context.env, word, wanted)


def add_ports(context: OperationContext, word: str, ports: tuple[PublishedPort, ...]) -> tuple[PublishedPort, ...]:
    """Publish ports of the container, all or none, at once where it runs, and at each start from then on. They come
    back as they are bound. Raises NotFoundError, UsageError, ConflictError where one is taken, SandboxError.
    """
    from sandbox.container.life.ports import add_ports as add

    return add(context.paths, word, ports)


def remove_ports(context: OperationContext, word: str, ports: tuple[PublishedPort, ...]) -> tuple[PublishedPort, ...]:
    """Publish no more what `ports` name: with a host port of 0 all that lead to that port of the container. They come
    back. Raises NotFoundError, also for a port that is not published; SandboxError.
    """
    from sandbox.container.life.ports import remove_ports as remove_some

    return remove_some(context.paths, word, ports)


def resize(context: OperationContext, word: str, rows: int, columns: int) -> None:
    """Give the container's terminal another size; without one nothing happens. Raises ConflictError where it does not
    run.
    """
    from sandbox.container.life.stop import is_active, not_running_error, open_channel
    from sandbox.container.operations import look_up
    from sandbox.protocol.frames import encode_resize

    container = look_up(context, word)
    channel = open_channel(context.paths, container) if is_active(container) else None
    if channel is None:
        raise not_running_error(container)
    try:
        channel.send(encode_resize(rows, columns))
    finally:
        channel.close()
