"""slirp4netns' API for trio programs: the same requests and answers as `net.slirp_api`, awaited instead of waited for.

The keeper drives slirp4netns through this. Commands and monitors do not: they ask once or twice, on blocking sockets,
and importing trio would be the longest part of it.

Versions 1.0.1 to 1.3 have the same three calls and no other: none tells of its own state.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from net.addresses import CONTAINER_ADDRESS
from net.errors import NetError
from net.slirp_protocol import ReplyReader, add_hostfwd_request, decode_forwards, decode_id, encode_request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from net.ports import Forward
    from net.slirp_protocol import HostForward

_PATIENCE_SECONDS = 10.0
#: slirp4netns lets one or two wait; a full queue is asked again, for the kernel tells nobody when there is room
_FULL_QUEUE_SECONDS = 0.005


class SlirpApi:
    """Talks to the slirp4netns that listens on `api_socket`; each call is a connection of its own and may last
    `patience_seconds`. Every call raises NetError, SlirpRefusedError where slirp4netns said no.
    """

    def __init__(self, api_socket: str, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._api_socket = api_socket
        self._patience_seconds = patience_seconds

    async def add_hostfwd(self, forward: Forward, container_port: int, address: str = CONTAINER_ADDRESS) -> int:
        """Open `forward` on the host, which leads to `address`, and return its id."""
        return decode_id(await self._call(add_hostfwd_request(forward, container_port, address)))

    async def list_hostfwd(self) -> tuple[HostForward, ...]:
        """The forwards there are."""
        return decode_forwards(await self._call(encode_request("list_hostfwd")))

    async def remove_hostfwd(self, forward_id: int) -> None:
        """Close a forward."""
        await self._call(encode_request("remove_hostfwd", {"id": forward_id}))

    async def _call(self, request: bytes) -> dict[str, object]:
        reply = ReplyReader()
        with self._patience(), await self._connect() as stream:
            left = memoryview(request)
            while left:
                left = left[await stream.send(left) :]
            stream.shutdown(socket.SHUT_WR)
            while data := await stream.recv(65536):
                reply.feed(data)
        return reply.result()

    async def _connect(self) -> trio.socket.SocketType:
        while True:
            stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                stream.setblocking(False)
                # not trio's connect: that takes EAGAIN, a full queue, for a connection on its way
                stream.connect(self._api_socket)
            except BlockingIOError:
                stream.close()
            except BaseException:
                stream.close()
                raise
            else:
                return trio.socket.from_stdlib_socket(stream)
            await trio.sleep(_FULL_QUEUE_SECONDS)

    @contextmanager
    def _patience(self) -> Iterator[None]:
        try:
            with trio.fail_after(self._patience_seconds):
                yield
        except trio.TooSlowError:
            raise self._silent(f"no answer for {self._patience_seconds:g} seconds") from None
        except OSError as error:
            raise self._silent(str(error)) from error

    def _silent(self, why: str) -> NetError:
        return NetError("slirp4netns does not answer", cause=f"its API socket {self._api_socket}: {why}")
