"""The first client of a server that is not loaded yet."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from sandbox.api.greeting import Door, Endings, greet
from sandbox.protocol.local_sockets import listen_at

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PING = b"GET /_ping HTTP/1.1\r\nHost: x\r\nUser-Agent: y\r\n\r\n"


@pytest.fixture
def endings() -> Iterator[Endings]:
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield Endings()
    for number, handler in kept.items():
        signal.signal(number, handler)


def _greeted(place: Path, endings: Endings, data: bytes) -> tuple[bytes, bytes]:
    """What a client gets that has sent the data, and what is left of it for the server."""
    with listen_at(str(place), "socket") as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place / "socket"))
        client.sendall(data)
        arrival = greet([Door(listener)], endings)
        assert arrival is not None
        client.setblocking(False)
        with arrival.connection:
            answer = b"".join(_all(client))
            return answer, b"".join(_all(arrival.connection))


def _all(connection: socket.socket) -> Iterator[bytes]:
    try:
        while data := connection.recv(4096):
            yield data
    except BlockingIOError:
        pass


def test_a_ping_is_answered_at_once(tmp_path: Path, endings: Endings) -> None:
    answer, left = _greeted(tmp_path, endings, _PING)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nSwarm: active/manager\r\n" in answer
    assert answer.endswith(b"\r\n\r\nOK")
    assert left == b""
    assert _greeted(tmp_path, endings, _PING.replace(b"GET", b"HEAD"))[0].endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    "data",
    [
        _PING.replace(b"_ping", b"info"),
        _PING + b"GET /info",
        _PING[:-2],
        _PING.replace(b"User-Agent: y", b"connection: close"),
        _PING.replace(b"User-Agent: y", b"Content-Length: 1"),
        _PING.replace(b"User-Agent: y", b"host: z"),
        _PING.replace(b"User-Agent: y", b"Y:" + b"z" * 5000),
        _PING.replace(b"User-Agent: y", b"User-Agent"),
        _PING.replace(b"User-Agent: y", b"User Agent: y"),
        _PING.replace(b"User-Agent: y", b"Y: z\nContent-Length: 1"),
        b"what is this\r\n\r\n",
    ],
)
def test_all_else_is_left_to_the_server(tmp_path: Path, endings: Endings, data: bytes) -> None:
    assert _greeted(tmp_path, endings, data) == (b"", data)


def test_nobody_comes_or_it_is_to_end(tmp_path: Path, endings: Endings) -> None:
    with listen_at(str(tmp_path), "socket") as listener:
        assert greet([Door(listener)], endings) is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert endings.has_come
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "socket"))
            assert greet([Door(listener)], endings) is None
