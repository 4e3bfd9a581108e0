"""Pipes between workers and the server."""

from __future__ import annotations

import fcntl
import os
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

_T = TypeVar("_T")

_CHUNK = 256 * 1024
_F_SETPIPE_SZ = 1031


class Pipe:
    """One pipe: the server reads, the worker writes to a copy of `write_fd`."""

    def __init__(self) -> None:
        read_fd, self.write_fd = os.pipe2(os.O_CLOEXEC)
        self._stream = trio.lowlevel.FdStream(read_fd)
        with suppress(OSError):
            # a user may have so much of pipes, pipe(7): a small one works too
            fcntl.fcntl(self.write_fd, _F_SETPIPE_SZ, _CHUNK)

    async def read(self) -> bytes:
        """What has come; b"" at the end."""
        return bytes(await self._stream.receive_some(_CHUNK))

    def close_write(self) -> None:
        """Nothing comes but from the worker; twice is safe."""
        if self.write_fd >= 0:
            os.close(self.write_fd)
            self.write_fd = -1

    async def aclose(self) -> None:
        self.close_write()
        await self._stream.aclose()


@asynccontextmanager
async def open_pipe() -> AsyncIterator[Pipe]:
    """A pipe for the length of the block."""
    pipe = Pipe()
    try:
        yield pipe
    finally:
        with trio.CancelScope(shield=True):
            await pipe.aclose()


async def feed(body: AsyncIterator[bytes], act: Callable[[int], Awaitable[_T]]) -> _T:
    """Write a request's body to a pipe that `act` gets the other end of; its result. Who reads may have had enough."""
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    stream = trio.lowlevel.FdStream(write_fd)
    found: list[_T] = []
    try:
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                nonlocal read_fd
                try:
                    found.append(await act(read_fd))
                finally:
                    # nobody reads any more: who still writes is told
                    os.close(read_fd)
                    read_fd = -1

            nursery.start_soon(run)
            try:
                async for part in body:
                    await stream.send_all(part)
            except trio.BrokenResourceError:
                pass
            finally:
                with trio.CancelScope(shield=True):
                    await stream.aclose()
    finally:
        if read_fd >= 0:
            os.close(read_fd)
    return found[0]
