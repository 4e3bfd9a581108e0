"""A client's SSH agent, at a socket of ours: each connection becomes a call on the client's session."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import trio

from sandbox.api.buildkit.calls import ask, made_call
from sandbox.api.buildkit.protobuf import decode, encode
from sandbox.api.buildkit.rpc_errors import RpcError
from sandbox.api.buildkit.schema import BYTES_MESSAGE, CHECK_AGENT

if TYPE_CHECKING:
    from sandbox.api.buildkit.link import Link

_CHUNK = 32 * 1024


async def serve_agent(
    link: Link, agent_id: str, path: str, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Listen at `path` until cancelled. Raises RpcError where the client has no such agent."""
    await ask(link, "moby.sshforward.v1.SSH/CheckAgent", CHECK_AGENT, {"id": agent_id})
    listener = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
    with listener:
        # its directory is the user's alone
        await listener.bind(path)
        os.chmod(path, 0o600)
        listener.listen()
        task_status.started()
        async with trio.open_nursery() as nursery:
            while True:
                connection, _address = await listener.accept()
                nursery.start_soon(_forward, link, agent_id, trio.SocketStream(connection))


async def _forward(link: Link, agent_id: str, stream: trio.SocketStream) -> None:
    try:
        async with (
            stream,
            made_call(link, "moby.sshforward.v1.SSH/ForwardAgent", [("buildkit.ssh.id", agent_id)]) as call,
            trio.open_nursery() as nursery,
        ):

            async def upwards() -> None:
                while data := await stream.receive_some(_CHUNK):
                    await call.send(encode(BYTES_MESSAGE, {"data": bytes(data)}))
                await call.send_end()

            nursery.start_soon(upwards)
            while (message := await call.receive()) is not None:
                await stream.send_all(decode(BYTES_MESSAGE, message)["data"])
            nursery.cancel_scope.cancel()
    except* (RpcError, trio.BrokenResourceError, trio.ClosedResourceError):
        # of one connection of one program, which sees that it has ended
        pass
