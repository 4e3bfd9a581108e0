"""Containers put on networks and taken off, for whoever asks: a command, a program. Values in, values out."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.operation_context import OperationContext
    from sandbox.values import EndpointRequest


def connect(context: OperationContext, word: str, request: EndpointRequest) -> None:
    """Put the container on the network that `request` names; one that runs has the interface when this returns. Raises
    NotFoundError, UsageError; ConflictError where it is there already, or can be on no other network.
    """
    from sandbox.container.life.networking import connect_container

    connect_container(context.paths, word, request)


def remove_link(context: OperationContext, word: str) -> None:
    """Take back the link of the default network that "web/database" names: what web calls another container. Raises
    NotFoundError; ConflictError for the name of a container.
    """
    from sandbox.container.life.networking import remove_link as remove

    remove(context.paths, word)


def disconnect(context: OperationContext, word: str, network: str, *, force: bool = False) -> None:
    """Take the container off the network, whether it runs or not. By force what is there of a container that is not is
    taken off too. Raises NotFoundError; ConflictError where it is not on that network, or cannot leave it.
    """
    from sandbox.container.life.networking import disconnect_container

    disconnect_container(context.paths, word, network, force=force)
