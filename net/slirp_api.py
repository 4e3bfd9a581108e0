"""The client of slirp4netns' API socket, and what it is for: publishing ports.

`publish` is all or nothing: when it raises or is interrupted, the forwards it had added are gone again. Each mapping
is first bound here for a moment, because slirp4netns gives no reason when it cannot. A port that was free then may be
taken when slirp4netns comes to it; a port of our own choice is then chosen anew, one that was asked for is an error.

One request after the other, on blocking sockets with a deadline: slirp4netns answers within a tenth of a millisecond,
and a command or a monitor that publishes brings no event loop for that.
"""

from __future__ import annotations

import math
import socket
import struct
import time

from net.addresses import CONTAINER_ADDRESS
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

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE_SECONDS = 30.0
_CLEANUP_SECONDS = 5.0
#: timeval of socket(7)
_TIMEVAL = struct.Struct("@ll")


class SlirpSilentError(NetError):
    """slirp4netns did not answer in time."""


class ForwardUnableError(NetError):
    """What is asked for is not among what slirp4netns' forwarding can do; a bridge network could."""


class SlirpClient:
    """Talks to the slirp4netns that listens on `api_socket`, for `patience_seconds` in all; every call is a connection
    of its own.
    """

    def __init__(self, api_socket: str, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        self._api_socket = api_socket
        self._patience_seconds = patience_seconds
        self._deadline = time.monotonic() + patience_seconds

    def add_hostfwd(self, forward: Forward, container_port: int, address: str = CONTAINER_ADDRESS) -> int:
        """Open `forward` on the host, which leads to `address`, and return its id.

        Raises SlirpRefusedError, mostly for a port that is taken.
        """
        return decode_id(self._call(add_hostfwd_request(forward, container_port, address)))

    def list_hostfwd(self) -> tuple[HostForward, ...]:
        """The forwards there are."""
        return decode_forwards(self._call(encode_request("list_hostfwd")))

    def remove_hostfwd(self, forward_id: int) -> None:
        """Close a forward. Raises SlirpRefusedError where there is none of that id."""
        self._call(encode_request("remove_hostfwd", {"id": forward_id}))

    def _call(self, request: bytes) -> dict[str, object]:
        reply = ReplyReader()
        try:
            with socket.socket(socket.AF_UNIX) as stream:
                self._limit(stream)
                # slirp4netns' queue is of one or two: the kernel waits until there is room, connect(2)
                stream.connect(self._api_socket)
                stream.sendall(request)
                stream.shutdown(socket.SHUT_WR)
                while data := stream.recv(65536):
                    reply.feed(data)
                    self._limit(stream)
        except BlockingIOError as error:
            raise SlirpSilentError(
                "the container's network does not answer",
                cause=f"slirp4netns did not answer for {self._patience_seconds:g} seconds",
                mend="restart the container",
            ) from error
        except OSError as error:
            raise NetError(
                "the container's network does not answer",
                cause=f"slirp4netns' API socket {self._api_socket}: {error}",
                mend="restart the container",
            ) from error
        return reply.result()

    def _limit(self, stream: socket.socket) -> None:
        """Have what comes next of `stream` end with EAGAIN at the deadline. By options of the socket, not by Python's
        timeouts, which are polls of a non-blocking one: a full queue is an error for that.
        """
        left_us = math.ceil(max(self._deadline - time.monotonic(), 0.0) * 1e6)
        # 0 is for ever
        timeval = _TIMEVAL.pack(*divmod(max(left_us, 1), 1_000_000))
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)


def publish(
    api_socket: str,
    mappings: Sequence[PortMapping],
    patience_seconds: float = _PATIENCE_SECONDS,
    *,
    address: str = CONTAINER_ADDRESS,
) -> tuple[PortMapping, ...]:
    """Open every mapping on the host and return them with the addresses and ports they got, in order.

    They lead to `address`. On return each port listens. Raises PortInUseError, PrivilegedPortError, SlirpSilentError or
    another NetError.
    """
    check_conflicts(mappings)
    for mapping in mappings:
        _refuse_unable(mapping)
    client = SlirpClient(api_socket, patience_seconds)
    tried: list[Forward] = []
    try:
        bound = tuple([_add_one(client, mapping, address, tried) for mapping in mappings])
        check_bound_once([Forward(mapping.host_ip, mapping.host_port, mapping.protocol) for mapping in bound])
    except BaseException:
        # also when interrupted: nobody else knows these forwards
        _remove(SlirpClient(api_socket, _CLEANUP_SECONDS), tried)
        raise
    return bound


def unpublish(api_socket: str, bound: Sequence[PortMapping], patience_seconds: float = _PATIENCE_SECONDS) -> None:
    """Close those that are open of the mappings, as `publish` gave them. Raises NetError."""
    forwards = [Forward(mapping.host_ip, mapping.host_port, mapping.protocol) for mapping in bound]
    client = SlirpClient(api_socket, patience_seconds)
    for entry in client.list_hostfwd():
        if entry.forward in forwards:
            client.remove_hostfwd(entry.id)


def _refuse_unable(mapping: PortMapping) -> None:
    """What slirp4netns' own forwarding cannot do."""
    if ":" in mapping.host_ip:
        raise ForwardUnableError(
            f"cannot publish on the IPv6 address [{mapping.host_ip}]",
            cause="slirp4netns forwards IPv4 addresses of the host only",
            mend=f"publish on an IPv4 address, such as {'127.0.0.1' if mapping.host_ip == '::1' else '0.0.0.0'}",
        )
    if mapping.proxy_protocol:
        raise ForwardUnableError(
            f"cannot publish port {mapping.container_port} with the PROXY protocol",
            cause="slirp4netns' forwarding has none; the client's address reaches the container without",
            mend="leave proxy-protocol out, or use a bridge network without --port-driver slirp4netns",
        )


def _add_one(client: SlirpClient, mapping: PortMapping, address: str, tried: list[Forward]) -> PortMapping:
    failure: NetError | None = None
    for forward in candidates(mapping):
        try:
            check_free(forward)
            tried.append(forward)
            client.add_hostfwd(forward, mapping.container_port, address)
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


def _remove(client: SlirpClient, forwards: Sequence[Forward]) -> None:
    # by what slirp4netns lists, not by the ids it gave: an interrupted call may have added one we never heard of. What
    # was there before is not among `forwards`, since its port was not free.
    try:
        for entry in client.list_hostfwd():
            if entry.forward in forwards:
                client.remove_hostfwd(entry.id)
    except NetError:  # with slirp4netns gone its forwards are gone too
        return
