"""Clients that are joined to containers by the socket, each in its own way."""

from __future__ import annotations

import socket as sockets
from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.api.test_websocket import masked

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_SECONDS = 120
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class _Client:
    """A connection, and what came by it."""

    def __init__(self, path: str) -> None:
        self.socket = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT_SECONDS)
        self.socket.connect(path)
        self.read = b""

    def ask(self, text: str) -> bytes:
        """Send a request; the head of the answer."""
        self.socket.sendall(text.replace("\n", "\r\n").encode())
        return self.until(b"\r\n\r\n")

    def until(self, mark: bytes) -> bytes:
        """What comes, to the mark and with it."""
        while mark not in self.read:
            data = self.socket.recv(65536)
            assert data, self.read
            self.read += data
        end = self.read.index(mark) + len(mark)
        found, self.read = self.read[:end], self.read[end:]
        return found


@pytest.fixture
def raw(socket: str) -> Iterator[_Client]:
    """A connection to the server."""
    client = _Client(socket)
    yield client
    client.socket.close()


def _upgrade(container: str, query: str) -> str:
    return (
        f"GET /v1.45/containers/{container}/attach/ws?{query} HTTP/1.1\nHost: x\nConnection: Upgrade\n"
        f"Upgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: {KEY}\n\n"
    )


def test_a_websocket_is_joined_to_a_container(raw: _Client, client: Any, busybox: str) -> None:
    container = client.containers.create(busybox, ["sh", "-c", "cat; echo gone >&2"], name="cat", stdin_open=True)
    head = raw.ask(_upgrade("cat", "stdin=1&stdout=1&stderr=1&stream=1"))
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
    container.start()
    raw.socket.sendall(masked(0x02, b"to and ") + masked(0x89, b"?") + masked(0x80, b"fro\n"))
    # each write of it is a message, and the answer to a ping comes between
    came = raw.until(b"fro\n")
    assert b"\x8a\x01?" in came
    assert came.replace(b"\x8a\x01?", b"").replace(b"\x82\x07to and \x82\x04fro\n", b"\x82\x0bto and fro\n") == (
        b"\x82\x0bto and fro\n"
    )
    raw.socket.sendall(masked(0x88, b"\x03\xe8"))
    # the client's end is answered, and is the end of its input
    assert raw.until(b"\x03\xe8") == b"\x88\x02\x03\xe8"
    assert container.wait()["StatusCode"] == 0
    assert container.logs() == b"to and fro\ngone\n"


def test_links_of_the_default_network(client: Any, busybox: str) -> None:
    client.containers.run(busybox, ["sleep", "1000"], name="db", environment={"WHO": "me"}, detach=True)
    told = client.containers.run(busybox, ["env"], name="web", links={"db": "store"}).decode().splitlines()
    assert {"STORE_NAME=/web/store", "STORE_ENV_WHO=me"} <= set(told)
    assert client.api.inspect_container("web")["HostConfig"]["Links"] == ["/db:/web/store"]
    assert client.api.inspect_container("web/store")["Name"] == "/db"
    (listed,) = [each["Names"] for each in client.api.containers() if "/db" in each["Names"]]
    assert listed == ["/db", "/web/store"]
    client.api.remove_container("web/store", link=True)
    assert client.api.inspect_container("web")["HostConfig"]["Links"] is None
    assert client.api.inspect_container("db")["State"]["Running"]
