"""The server's end of a worker's line: what it asks is got from the client's session."""

from __future__ import annotations

import os
import socket
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import trio

from sandbox.api.buildkit.calls import made_call
from sandbox.api.buildkit.file_send import send_file, send_tree
from sandbox.api.buildkit.file_sync import TreeRequest, receive_tree
from sandbox.api.buildkit.line import HEAD_BYTES, MESSAGE_BYTES, decode_message, encode_message
from sandbox.api.buildkit.protobuf import decode
from sandbox.api.buildkit.rpc_errors import UNKNOWN, LinkGoneError, RpcError
from sandbox.api.buildkit.schema import BYTES_MESSAGE
from sandbox.api.buildkit.ssh_forward import serve_agent
from sandbox.api.errors import unwrapped
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from sandbox.api.buildkit.progress import Progress
    from sandbox.api.buildkit.session import Session

    Write = Callable[[bytes], Awaitable[None]]


class Answers:
    """For one build; `scratch` is a directory where sockets of agents may be made."""

    def __init__(
        self,
        session: Session,
        progress: Progress,
        nursery: trio.Nursery,
        scratch: str,
        upload: AsyncIterator[bytes] | None,
    ) -> None:
        self._session = session
        self._progress = progress
        self._nursery = nursery
        self._scratch = scratch
        self._upload = upload

    async def serve(self, line: socket.socket) -> None:
        """Answer until the worker has closed its end, or is cancelled."""
        with trio.socket.from_stdlib_socket(line) as ours:
            while (question := await _read(ours)) is not None:
                try:
                    with unwrapped():
                        value = await self._answer(question, ours)
                except SandboxError as error:
                    code = error.status if isinstance(error, RpcError) else UNKNOWN
                    await _send(ours, {"error": error.message, "code": code})
                except LinkGoneError:
                    await _send(ours, {"error": "the client's session has ended", "code": UNKNOWN})
                else:
                    await _send(ours, {"value": value})

    async def _answer(self, question: dict[str, Any], ours: trio.socket.SocketType) -> object:
        session = self._session
        match question["ask"]:
            case "tree":
                await self._send_tree(question, ours)
            case "upload":
                await self._stream(ours, lambda write: self._pull(question["path"], write))
            case "secret":
                return await session.secret(question["id"])
            case "credentials":
                return await session.credentials(question["host"])
            case "ssh":
                path = tempfile.mktemp(dir=self._scratch, prefix="agent-")
                try:
                    await self._nursery.start(serve_agent, session.link, question["id"], path)
                except RpcError:
                    # only a mount that requires it fails
                    return None
                return path
            case "send-file":
                await send_file(session.link, question["number"], question["path"], question["metadata"])
            case "send-tree":
                await send_tree(session.link, question["number"], question["path"])
        return None

    async def _send_tree(self, question: dict[str, Any], ours: trio.socket.SocketType) -> None:
        request = TreeRequest(question["name"], tuple(question["follow"]), tuple(question["excludes"]))
        with self._progress.step(question["title"]) as step:

            async def act(write: Write) -> None:
                with step.counting(question["status"]) as count:
                    await receive_tree(self._session.link, request, write, count)

            await self._stream(ours, act)

    async def _pull(self, path: str, write: Write) -> None:
        if self._upload is not None:
            async for part in self._upload:
                await write(part)
            return
        metadata = [("urlpath", path), ("urlhost", "buildkit-session")]
        async with made_call(self._session.link, "moby.upload.v1.Upload/Pull", metadata) as call:
            await call.send_end()
            while (message := await call.receive()) is not None:
                await write(decode(BYTES_MESSAGE, message)["data"])

    async def _stream(self, ours: trio.socket.SocketType, act: Callable[[Write], Awaitable[None]]) -> None:
        """Send the worker a pipe, and what `act` writes through it."""
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        try:
            await _send(ours, {"value": None}, read_fd)
        finally:
            os.close(read_fd)
        async with trio.lowlevel.FdStream(write_fd) as pipe:
            # a worker that has failed tells it itself
            with suppress(trio.BrokenResourceError):
                await act(pipe.send_all)


async def _read(ours: trio.socket.SocketType) -> dict[str, Any] | None:
    head = await _exactly(ours, HEAD_BYTES)
    if head is None:
        return None
    size = int.from_bytes(head, "big")
    data = await _exactly(ours, size) if size <= MESSAGE_BYTES else None
    found: dict[str, Any] | None = None if data is None else decode_message(data)
    return found


async def _exactly(ours: trio.socket.SocketType, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        data = await ours.recv(size - len(parts))
        if not data:
            return None
        parts += data
    return bytes(parts)


async def _send(ours: trio.socket.SocketType, message: dict[str, object], descriptor: int = -1) -> None:
    data = encode_message(message)
    rest = memoryview(len(data).to_bytes(HEAD_BYTES, "big") + data)
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptor.to_bytes(4, "little"))] if descriptor >= 0 else []
    while rest:
        sent = await ours.sendmsg([rest], ancillary)
        rest, ancillary = rest[sent:], []
