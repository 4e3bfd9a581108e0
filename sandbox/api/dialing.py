"""Standard input and output as a connection to the user's server: what clients of `ssh://` hosts start there."""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from sandbox.api.sockets import ensure_socket
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from sandbox.operation_context import OperationContext

_CHUNK = 64 * 1024
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


def dial(context: OperationContext) -> None:
    """Carry what comes in to the user's server, which is started where there is none, and its answers out; until the
    server closes. Raises UsageError where these are no pipes, sockets or terminals; HostError.
    """
    for fd, name in ((0, "standard input"), (1, "standard output")):
        if not _can_be_waited_for(fd):
            raise UsageError(f"{name} is no connection", mend="docker -H ssh://USER@HOST version")
    trio.run(_carry, ensure_socket(context.paths, context.env))


def _can_be_waited_for(fd: int) -> bool:
    with select.epoll() as poller:
        try:
            poller.register(fd)
        except OSError:
            return False
    return True


async def _carry(path: str) -> None:
    # closed at the end, which leaves a terminal as it was
    async with (
        trio.lowlevel.FdStream(0) as given,
        trio.lowlevel.FdStream(1) as output,
        await trio.open_unix_socket(path) as server,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(_send, given, server)
        with suppress(*_GONE):
            while data := await server.receive_some(_CHUNK):
                await output.send_all(data)
        nursery.cancel_scope.cancel()


async def _send(given: trio.lowlevel.FdStream, server: trio.SocketStream) -> None:
    with suppress(*_GONE):
        while data := await given.receive_some(_CHUNK):
            await server.send_all(data)
        await server.send_eof()
