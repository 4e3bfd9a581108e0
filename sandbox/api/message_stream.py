"""Answers that are messages in JSON, a line each: pull, push, load, build.

What goes wrong before the first message is a status; after it, a message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from sandbox.api.call import encoded
from sandbox.api.errors import message_of, unwrapped
from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from sandbox.api.call import Call

    Message = dict[str, Any]
    Tell = Callable[[Message], Awaitable[None]]


class MessageStream:
    """One such answer."""

    def __init__(self, call: Call, *, reads_body: bool = False, fails_in_stream: bool = False) -> None:
        self._call = call
        self._reads_body = reads_body
        #: a message also for what goes wrong before any other
        self._fails_in_stream = fails_in_stream

    async def carry(self, act: Callable[[Tell], Awaitable[None]]) -> None:
        """Do what tells messages, and send them as they come. It is cancelled when the client goes. Raises SandboxError
        where nothing was told yet.
        """
        send, receive = trio.open_memory_channel[Any](0)
        async with trio.open_nursery() as nursery:

            async def run() -> None:
                async with send:
                    try:
                        with unwrapped():
                            await act(send.send)
                    except SandboxError as error:
                        await send.send(error)

            nursery.start_soon(run)
            first = await _next(receive)
            if isinstance(first, SandboxError) and not self._fails_in_stream:
                raise first
            async with self._call.stream(reads_body=self._reads_body) as out:
                while first is not None:
                    await out.write(_line(first))
                    first = await _next(receive)


async def _next(receive: trio.MemoryReceiveChannel[Any]) -> Any:
    try:
        return await receive.receive()
    except trio.EndOfChannel:
        return None


def _line(message: Message | SandboxError) -> bytes:
    if isinstance(message, SandboxError):
        text = message_of(message)
        return encoded({"errorDetail": {"message": text}, "error": text}) + b"\r\n"
    return encoded(message) + b"\r\n"
