"""A program for a container that takes and gives large amounts of bytes, and the client's side of it.

One connection has one line that says what is wanted: `take` (until the client's end; the answer is the sum), `give TAG
MEGABYTES` (then the server ends its direction, and says what the client sent after that), `who`. UDP is sent back.
"""

from __future__ import annotations

import hashlib
import inspect
import socket
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


def _blocks(megabytes: int) -> Iterator[bytes]:
    """What is given and taken: a megabyte each, which begins with its place."""
    rest = hashlib.shake_128(b"block").digest((1 << 20) - 8)
    for number in range(megabytes):
        yield number.to_bytes(8, "big") + rest


_SERVER = """
import os, socket, socketserver

class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        word, *arguments = self.rfile.readline().decode().split()
        if word == "take":
            self.wfile.write(hashlib.file_digest(self.rfile, "sha256").hexdigest().encode())
        if word == "give":
            for block in _blocks(int(arguments[1])):
                self.wfile.write(block)
            print("gave", arguments[0], flush=True)
            self.request.shutdown(socket.SHUT_WR)
            print("after its end", arguments[0], self.rfile.read().decode(), flush=True)
        if word == "who":
            self.wfile.write(self.client_address[0].encode())

class Server(socketserver.ForkingMixIn, socketserver.TCPServer):
    def __init__(self, place):
        super().__init__(place, Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = socket.create_server(place, family=socket.AF_INET6, dualstack_ipv6=True)

datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
datagrams.bind(("::", 53))
server = Server(("::", 80))
if not os.fork():
    while True:
        datagrams.sendto(*datagrams.recvfrom(65535))
print("up", flush=True)
server.serve_forever()
"""


#: the command of the container; "up" is printed when it answers
SERVER = (
    "/usr/bin/python3",
    "-c",
    f"from __future__ import annotations\nimport hashlib\n\n{inspect.getsource(_blocks)}{_SERVER}",
)


def digest_of(megabytes: int) -> str:
    """The sum of what is given and taken."""
    whole = hashlib.sha256()
    for block in _blocks(megabytes):
        whole.update(block)
    return whole.hexdigest()


class Place(NamedTuple):
    """Where the server is met from the host; the tcp port is the udp port too."""

    address: str
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(self, timeout=60)

    def who(self) -> str:
        """Whom the server sees."""
        with self.connect() as client:
            client.sendall(b"who\n")
            return _read(client).decode()

    def upload(self, megabytes: int) -> str:
        """The sum of what the server has got, told after our end."""
        with self.connect() as client:
            client.sendall(b"take\n")
            for block in _blocks(megabytes):
                client.sendall(block)
            client.shutdown(socket.SHUT_WR)
            return _read(client).decode()

    def ask_for(self, tag: str, megabytes: int) -> socket.socket:
        """A connection to which the server sends."""
        client = self.connect()
        client.sendall(f"give {tag} {megabytes}\n".encode())
        return client

    def echo(self, *datagrams: bytes) -> list[bytes]:
        """What comes back of each, by one socket."""
        with socket.socket(socket.AF_INET6 if ":" in self.address else socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(60)
            client.connect(self)
            answers = []
            for datagram in datagrams:
                client.send(datagram)
                answers.append(client.recv(65535))
            return answers


def _read(client: socket.socket) -> bytes:
    with client.makefile("rb") as stream:
        return stream.read()


def read_digest(client: socket.socket) -> str:
    """The sum of all that comes until the server's end."""
    with client.makefile("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
