"""slirp4netns' API as bytes in, values out: one JSON object each way on a connection of its own.

    -> {"execute": "add_hostfwd", "arguments": {…}}     then the writing side is shut down
    <- {"return": {…}}, {"entries": […]} or {"error": {"desc": "…"}}; then the connection is closed

slirp4netns(1) §API SOCKET. No sockets here; `net.slirp_api` has them.
"""

from __future__ import annotations

import json

from net.addresses import CONTAINER_ADDRESS
from net.errors import NetError
from net.named_tuple import NamedTuple
from net.ports import Forward

#: slirp4netns reads a request into a buffer of this size and takes no more
REQUEST_LIMIT_BYTES = 4095
#: a list of 65535 forwards is some 8 MB
REPLY_LIMIT_BYTES = 16 << 20


class SlirpRefusedError(NetError):
    """slirp4netns answered with an error."""


class HostForward(NamedTuple):
    """One row of list_hostfwd."""

    id: int
    forward: Forward
    container_port: int
    address: str


def add_hostfwd_request(forward: Forward, container_port: int, address: str = CONTAINER_ADDRESS) -> bytes:
    return encode_request(
        "add_hostfwd",
        {
            "proto": forward.protocol,
            "host_addr": forward.host_ip,
            "host_port": forward.host_port,
            "guest_addr": address,
            "guest_port": container_port,
        },
    )


def encode_request(name: str, arguments: dict[str, str | int] | None = None) -> bytes:
    """The bytes of a request. Raises NetError where slirp4netns would cut them off."""
    document: dict[str, object] = {"execute": name}
    if arguments is not None:
        document["arguments"] = arguments
    data = json.dumps(document).encode()
    if len(data) > REQUEST_LIMIT_BYTES:
        raise NetError(f"a request of {len(data)} bytes to slirp4netns is too long")
    return data


class ReplyReader:
    """Gathers the bytes of one reply; `result` is asked for after the end of the stream."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        """Take in the next bytes of the stream. Raises NetError for a reply that does not end."""
        self._data += data
        if len(self._data) > REPLY_LIMIT_BYTES:
            raise NetError("slirp4netns sent a reply without end")

    def result(self) -> dict[str, object]:
        """What was returned. Raises SlirpRefusedError, or NetError where it is not a whole reply."""
        if not self._data:
            raise NetError("slirp4netns closed the connection without a reply")
        try:
            document = json.loads(self._data)
        except ValueError as error:
            raise NetError("slirp4netns sent something that is not JSON", cause=str(error)) from error
        match document:
            case {"error": {"desc": str(text)}}:
                raise SlirpRefusedError("slirp4netns refused", cause=text)
            case {"return": dict(result)}:
                return result
            case {"entries": list()}:  # list_hostfwd alone answers without the "return" around it
                return dict(document)
        raise NetError("slirp4netns sent something that is not a reply", cause=json.dumps(document)[:200])


def decode_id(result: dict[str, object]) -> int:
    """The id in add_hostfwd's result. Raises NetError where it is none."""
    number = result.get("id")
    if not isinstance(number, int):
        raise NetError("slirp4netns gave no id for a forward")
    return number


def decode_forwards(result: dict[str, object]) -> tuple[HostForward, ...]:
    """The rows in list_hostfwd's result; rows we cannot read are an error, since they could not be removed.

    Raises NetError.
    """
    entries = result.get("entries")
    if not isinstance(entries, list):
        raise NetError("slirp4netns gave no list of forwards")
    return tuple(_decode_forward(entry) for entry in entries)


def _decode_forward(entry: object) -> HostForward:
    match entry:
        case {
            "id": int(number),
            "proto": ("tcp" | "udp") as protocol,
            "host_addr": str(host),
            "host_port": int(host_port),
            "guest_addr": str(address),
            "guest_port": int(container_port),
        }:
            return HostForward(number, Forward(host, host_port, protocol), container_port, address)
    raise NetError("slirp4netns listed a forward that cannot be read", cause=json.dumps(entry)[:200])
