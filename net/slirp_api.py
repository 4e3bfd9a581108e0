"""The client of slirp4netns' API socket, on trio, and what it is for: publishing ports.

`publish` is all or nothing: when it raises or is cancelled, the forwards it had added are gone again. Each mapping
is first bound here for a moment, because slirp4netns gives no reason when it cannot. A port that was free then may be
taken when slirp4netns comes to it; a port of our own choice is then chosen anew, one that was asked for is an error.
Deadlines are the caller's.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import trio

from net.errors import NetError
from net.host_ports import PortInUseError, candidates, check_bound_once, check_free
from net.ports import Forward, PortMapping, check_conflicts
from net.slirp_protocol import (
    HostForward,
    ReplyReader,
    SlirpRefusedError,
    add_hostfwd_request,
    decode_forwards,
    decode_id,
    encode_request,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLEANUP_SECONDS = 5
#: slirp4netns serves a connection in a tenth of this
_QUEUE_SECONDS = 0.002


class SlirpClient:
    """Talks to the slirp4netns that listens on `api_socket`; every call is a connection of its own."""

    def __init__(self, api_socket: str) -> None:
        self._api_socket = api_socket

    async def add_hostfwd(self, forward: Forward, container_port: int) -> int:
        """Open `forward` on the host and return its id. Raises SlirpRefusedError, mostly for a port that is taken."""
        return decode_id(await self._call(add_hostfwd_request(forward, container_port)))

    async def list_hostfwd(self) -> tuple[HostForward, ...]:
        """The forwards there are."""
        return decode_forwards(await self._call(encode_request("list_hostfwd")))

    async def remove_hostfwd(self, forward_id: int) -> None:
        """Close a forward. Raises SlirpRefusedError where there is none of that id."""
        await self._call(encode_request("remove_hostfwd", {"id": forward_id}))

    async def _call(self, request: bytes) -> dict[str, object]:
        reply = ReplyReader()
        try:
            async with await _connect(self._api_socket) as stream:
                await stream.send_all(request)
                await stream.send_eof()
                async for data in stream:
                    reply.feed(bytes(data))
        except (OSError, trio.BrokenResourceError) as error:
            raise NetError(
                "the container's network does not answer",
                cause=f"slirp4netns' API socket {self._api_socket}: {error}",
                mend="restart the container",
            ) from error
        return reply.result()


async def _connect(api_socket: str) -> trio.SocketStream:
    """A connection, as soon as slirp4netns' queue, which is of one or two, has room for it.

    Not trio.open_unix_socket: a full queue is EAGAIN here and not EINPROGRESS, connect(2), after which it waits until
    the socket is writable, which it is at once, and takes it for connected. Nothing tells when there is room.
    """
    while True:
        one = socket.socket(socket.AF_UNIX)
        try:
            one.setblocking(False)
            one.connect(api_socket)
        except BlockingIOError:
            one.close()
            await trio.sleep(_QUEUE_SECONDS)
        except BaseException:
            one.close()
            raise
        else:
            return trio.SocketStream(trio.socket.from_stdlib_socket(one))


async def publish(api_socket: str, mappings: Sequence[PortMapping]) -> tuple[PortMapping, ...]:
    """Open every mapping on the host and return them with the addresses and ports they got, in order.

    On return each port listens. Raises PortInUseError, PrivilegedPortError or another NetError.
    """
    check_conflicts(mappings)
    client = SlirpClient(api_socket)
    tried: list[Forward] = []
    try:
        bound = tuple([await _add_one(client, mapping, tried) for mapping in mappings])
        check_bound_once([Forward(mapping.host_ip, mapping.host_port, mapping.protocol) for mapping in bound])
    except BaseException:
        # also when cancelled: nobody else knows these forwards
        with trio.move_on_after(_CLEANUP_SECONDS, shield=True):
            await _remove(client, tried)
        raise
    return bound


async def _add_one(client: SlirpClient, mapping: PortMapping, tried: list[Forward]) -> PortMapping:
    failure: NetError | None = None
    for forward in candidates(mapping):
        try:
            check_free(forward)
            tried.append(forward)
            await client.add_hostfwd(forward, mapping.container_port)
        except (PortInUseError, SlirpRefusedError) as error:
            # refused although free a moment ago: a second look names the reason, or there is none to name
            failure = failure or (_reason(forward) if isinstance(error, SlirpRefusedError) else None) or error
            continue
        return PortMapping(forward.host_ip, forward.host_port, mapping.container_port, mapping.protocol)
    raise failure or NetError(f"no free host port for container port {mapping.container_port}/{mapping.protocol}")


def _reason(forward: Forward) -> NetError | None:
    try:
        check_free(forward)
    except NetError as error:
        return error
    return None


async def _remove(client: SlirpClient, forwards: Sequence[Forward]) -> None:
    # by what slirp4netns lists, not by the ids it gave: a cancelled call may have added one we never heard of. What
    # was there before is not among `forwards`, since its port was not free.
    try:
        for entry in await client.list_hostfwd():
            if entry.forward in forwards:
                await client.remove_hostfwd(entry.id)
    except NetError:  # with slirp4netns gone its forwards are gone too
        return
