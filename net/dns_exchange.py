"""One question to one name server: a datagram from a port that nobody can guess, or a stream."""

from __future__ import annotations

import os
import socket

import trio

from net.dns_wire import LARGEST, is_answer_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

NAME_PORT = 53


class Exchange:
    """Asks servers from sockets that `make_socket` gives (family, kind), else from this network namespace."""

    def __init__(self, make_socket: Callable[[int, int], socket.socket] = socket.socket, port: int = NAME_PORT) -> None:
        self._make_socket = make_socket
        self._port = port

    async def ask(self, server: str, message: bytes, end: int, *, stream: bool) -> bytes:
        """The answer of the server with that address to `message`, whose question ends at the offset `end`.

        Waits for as long as it lasts. Answers of others, and to other questions, are passed over: the kernel compares
        address and port, this compares number and question. Raises OSError where the server cannot be reached.
        """
        family, address = _socket_address(server, self._port)
        kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
        with trio.socket.from_stdlib_socket(self._make_socket(family, kind)) as asking:
            await asking.connect(address)
            return await (_by_stream if stream else _by_datagram)(asking, message, end)


def question_number() -> int:
    """The number of a question, 16 bits that nobody can guess."""
    return int.from_bytes(os.urandom(2), "big")


async def _by_datagram(asking: trio.socket.SocketType, message: bytes, end: int) -> bytes:
    await asking.send(message)
    while True:
        answer = await asking.recv(LARGEST)
        if is_answer_to(answer, message, end):
            return answer


async def _by_stream(asking: trio.socket.SocketType, message: bytes, end: int) -> bytes:
    stream = trio.SocketStream(asking)
    await stream.send_all(len(message).to_bytes(2, "big") + message)
    while True:
        answer = await receive_message(stream)
        if answer is None:
            raise ConnectionResetError("the server closed the connection")
        if is_answer_to(answer, message, end):
            return answer


async def receive_message(stream: trio.SocketStream, limit: int = LARGEST) -> bytes | None:
    """The next message of a stream, without its length; None at the end, and for one of more than `limit` octets."""
    head = await _receive_exactly(stream, 2)
    if head is None:
        return None
    length = int.from_bytes(head, "big")
    return await _receive_exactly(stream, length) if length <= limit else None


async def _receive_exactly(stream: trio.SocketStream, count: int) -> bytes | None:
    received = bytearray()
    while len(received) < count:
        some = await stream.receive_some(count - len(received))
        if not some:
            return None
        received += some
    return bytes(received)


def _socket_address(server: str, port: int) -> tuple[int, tuple[str | int, ...]]:
    address, _, scope = server.partition("%")
    if ":" not in address:
        socket.inet_pton(socket.AF_INET, address)
        return socket.AF_INET, (address, port)
    socket.inet_pton(socket.AF_INET6, address)
    scope_id = 0
    if scope:
        scope_id = int(scope) if scope.isdigit() else socket.if_nametoindex(scope)
    return socket.AF_INET6, (address, port, 0, scope_id)
