"""A container that does nothing but be on a network, so that something else can be on it: the steps of a build.

It reads from whoever holds it, and ends when that one does, by SIGKILL too.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress

from sandbox.container import operations
from sandbox.container.operations import Joining
from sandbox.container.request.request import ContainerRequest
from sandbox.container.session.attach import Streams
from sandbox.errors import NotFoundError
from sandbox.values import EndpointRequest, HealthCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.operation_context import OperationContext

#: of the shell itself: there need be no other program in the image
_WAITS = ("/bin/sh", "-c", "read nothing")


@contextmanager
def held_network(context: OperationContext, network: str, image: str) -> Iterator[str]:
    """The id of a container of `image` that is on `network` for the length of the block. Raises NotFoundError for a
    network that is not there; SandboxError where the image has no shell.
    """
    request = ContainerRequest(
        image=image,
        pull_policy="never",
        entrypoint=(),
        command=_WAITS,
        user="0",
        working_directory="/",
        open_stdin=True,
        stdin_once=True,
        auto_remove=True,
        health=HealthCheck(("NONE",)),
        endpoints=(EndpointRequest(network),),
    )
    container_id = operations.create(context, request).container.id
    try:
        joined = operations.start_joined(context, container_id, Joining(Streams(0, 1, 2), stdin=True))
        try:
            yield container_id
        finally:
            if joined.channel is not None:
                joined.channel.close()
    finally:
        with suppress(NotFoundError):
            operations.remove(context, container_id, force=True, volumes=True)
