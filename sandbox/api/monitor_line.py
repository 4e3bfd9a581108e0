"""The way to a container's monitor, shared by the clients that are joined to the container by this server."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import trio

from sandbox.protocol.frames import EXIT, STDERR, STDOUT, Decoder, encode_message

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Take = Callable[[int, bytes], Awaitable[None]]

_CHUNK = 64 * 1024


class Member:
    """One client: `take` gets the kind of each output and its bytes; `has_ended` when there will be no more."""

    def __init__(self, take: Take) -> None:
        self.take = take
        self.has_ended = trio.Event()


class MonitorLine:
    """Owns the socket; closed when the container has ended, or the last client has gone."""

    def __init__(self, descriptor: int, early: bytes) -> None:
        self._socket = trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor))
        self._early = early
        self._members: list[Member] = []
        self._expected = 0
        self._all_here = trio.Event()
        self._may_end = False

    def expect(self) -> None:
        """One more will join: output waits for it."""
        self._expected += 1

    def may_end(self) -> None:
        """All are known who will join."""
        self._may_end = True
        self._look()

    def join(self, take: Take) -> Member:
        """One client is here."""
        member = Member(take)
        self._members.append(member)
        self._expected -= 1
        self._look()
        return member

    def withdraw(self) -> None:
        """One that was expected does not come."""
        self._expected -= 1
        self._look()

    async def leave(self, member: Member, *, detaches: bool) -> None:
        """One has gone. The last one's going closes the line; `detaches` keeps the container's input open."""
        if member in self._members:
            self._members.remove(member)
        if not self._members and not self._expected:
            if detaches:
                await self.send(encode_message("detach"))
            self._socket.close()

    async def send(self, frame: bytes) -> bool:
        """Send a frame to the monitor; False where that has gone."""
        view = memoryview(frame)
        try:
            while view:
                view = view[await self._socket.send(view) :]
        except (OSError, trio.ClosedResourceError):
            return False
        return True

    async def run(self) -> None:
        """Carry what comes to all clients, until the end."""
        await self._all_here.wait()
        decoder = Decoder()
        try:
            data = self._early
            while self._members:
                for kind, payload in decoder.feed(data):
                    if kind in (STDOUT, STDERR):
                        await self._carry(kind, payload)
                    elif kind == EXIT:
                        return
                data = await self._receive()
                if not data:
                    return
        finally:
            self._socket.close()
            for member in self._members:
                member.has_ended.set()

    async def _carry(self, kind: int, payload: bytes) -> None:
        for member in list(self._members):
            if not member.has_ended.is_set():
                await member.take(kind, payload)

    async def _receive(self) -> bytes:
        try:
            return await self._socket.recv(_CHUNK)
        except (OSError, trio.ClosedResourceError):
            return b""

    def _look(self) -> None:
        if self._may_end and self._expected <= 0:
            self._all_here.set()
