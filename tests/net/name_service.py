"""A name server for tests: ours over sockets of this test, and a server of the world behind it, on the loopback."""

from __future__ import annotations

import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import trio

from net.dns_exchange import Exchange, receive_message
from net.dns_server import NameServer
from net.dns_upstream import listed_upstream
from net.names import ContainerNames, NamedEndpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any


class World:
    """A name server with real sockets. Its names: any in `addresses`, `large.example` that fits no datagram."""

    def __init__(self) -> None:
        self.addresses = {"example.org.": "192.0.2.1", "www.example.net.": "192.0.2.2"}
        self.asked: list[str] = []
        self.silent = False
        self._datagrams = trio.socket.socket(type=socket.SOCK_DGRAM)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[int]:
        """Answer in the background; the value is the port on 127.0.0.1."""
        listeners, port = await self._bind()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, self._serve_stream, listeners)
            nursery.start_soon(self._serve_datagrams)
            yield port
            nursery.cancel_scope.cancel()
        self._datagrams.close()

    async def _bind(self) -> tuple[list[trio.SocketListener], int]:
        while True:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listeners[0].socket.getsockname()[1]
            try:
                await self._datagrams.bind(("127.0.0.1", port))
            except OSError:  # somebody else's, for datagrams: another number
                await listeners[0].aclose()
            else:
                return listeners, port

    async def _serve_datagrams(self) -> None:
        while True:
            data, address = await self._datagrams.recvfrom(4096)
            if not self.silent:
                # an answer to another question and one with another number come first: they are passed over
                sound = self._answer(data, stream=False)
                for answer in (bytes((sound[0] ^ 1,)) + sound[1:], sound[:13] + b"z" + sound[14:], sound):
                    await self._datagrams.sendto(answer, address)

    async def _serve_stream(self, stream: trio.SocketStream) -> None:
        while data := await receive_message(stream):
            answer = self._answer(data, stream=True)
            await stream.send_all(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, data: bytes, *, stream: bool) -> bytes:
        question = dns.message.from_wire(data)
        answer = dns.message.make_response(question)
        name = question.question[0].name.to_text().lower()
        self.asked.append(name)
        if name == "large.example.":
            if not stream:
                answer.flags |= dns.flags.TC
            else:
                answer.answer = [dns.rrset.from_text(name, 60, "IN", "TXT", *(f'"{n:0200}"' for n in range(100)))]
        elif name in self.addresses:
            answer.answer = [dns.rrset.from_text(name, 60, "IN", "A", self.addresses[name])]
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer.to_wire(max_size=65535)


class Service(NamedTuple):
    """Our server with one container `web`, whose own sockets are on 127.0.0.11."""

    server: NameServer
    world: World
    udp_port: int
    tcp_port: int


WEB = NamedEndpoint("id", "front", "172.30.0.2", "", "172.30.0.0/16", "", ("web", "0123456789ab"), False, "v1a")


@asynccontextmanager
async def name_service(names: ContainerNames | None = None, **options: Any) -> AsyncIterator[Service]:
    """Serve in the background."""
    from net.container_names import make_container_sockets

    world = World()
    async with world.serve() as port, trio.open_nursery() as nursery:
        exchange = Exchange(port=port)
        server = NameServer(listed_upstream(("127.0.0.1",), exchange), ask_from=exchange, **options)
        server.join("web", names or ContainerNames((WEB,)))
        server.join("db", ContainerNames((WEB._replace(address4="172.30.0.3", names=("db",), interface="v1b"),)))
        udp, tcp = make_container_sockets()
        ports = udp.getsockname()[1], tcp.getsockname()[1]
        nursery.start_soon(server.serve_container, "web", [udp, tcp])
        yield Service(server, world, *ports)
        nursery.cancel_scope.cancel()
