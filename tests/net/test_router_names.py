"""The keeper's name service in a real router: servers of a container's own, and one container that asks without end."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING, Any

import dns.message
import dns.rrset
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from net.names import ContainerNames, NamedEndpoint
from net.router_names import RouterNames
from tests.net.bridge_containers import Container, bridge, connected, endpoint, router, run_in_user_namespace, socket_in

if TYPE_CHECKING:
    from net.networks import EndpointSettings

pytestmark = pytest.mark.requires("userns")
GATEWAY = "172.17.0.1"


def _named(settings: EndpointSettings, name: str) -> NamedEndpoint:
    return NamedEndpoint(
        "id", "front", settings.address4, names=(name,), subnet4="172.17.0.0/16", interface=settings.host_interface
    )


async def _ask(container: Container, name: str) -> dns.message.Message:
    with trio.socket.from_stdlib_socket(socket_in(container, socket.AF_INET)) as asking:
        await asking.connect((GATEWAY, 53))
        question = dns.message.make_query(name, "A")
        while True:
            await asking.send(question.to_wire())
            # as any client: a datagram may be lost
            with trio.move_on_after(2):
                answer = dns.message.from_wire(await asking.recv(4096))
                assert question.is_response(answer)
                return answer


def test_a_container_may_be_the_name_server_of_another() -> None:
    told = run_in_user_namespace(_own_server)
    assert told == {"address": "192.0.2.9", "asked by": GATEWAY}


def _own_server() -> dict[str, Any]:
    told: dict[str, Any] = {}
    with router() as (made, routing):
        server_end, asker_end = endpoint(bridge(), 2), endpoint(bridge(), 3)
        server, asker = connected(routing, server_end), connected(routing, asker_end)

        async def serve(answering: trio.socket.SocketType) -> None:
            data, address = await answering.recvfrom(4096)
            told["asked by"] = address[0]
            answer = dns.message.make_response(dns.message.from_wire(data))
            answer.answer = [dns.rrset.from_text("example.org.", 60, "IN", "A", "192.0.2.9")]
            await answering.sendto(answer.to_wire(), address)

        async def main() -> None:
            service = RouterNames(made.net_fd, lambda refusal: None)
            service.join("server", ContainerNames((_named(server_end, "server"),)))
            service.join("asker", ContainerNames((_named(asker_end, "asker"),), servers=(server_end.address4,)))
            with trio.socket.from_stdlib_socket(socket_in(server, socket.AF_INET)) as answering:
                await answering.bind((server_end.address4, 53))
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(service.run)
                    await wait_all_tasks_blocked()
                    nursery.start_soon(serve, answering)
                    told["address"] = (await _ask(asker, "example.org")).answer[0][0].to_text()
                    nursery.cancel_scope.cancel()

        trio.run(main)
    return told


def test_a_container_that_asks_without_end_holds_nobody_up() -> None:
    # who waits for the other's questions would be here for minutes
    assert run_in_user_namespace(_flooded) == {"answered": 200}


def _flooded() -> dict[str, Any]:
    with router() as (made, routing):
        rude_end, other_end = endpoint(bridge(), 2), endpoint(bridge(), 3)
        rude, other = connected(routing, rude_end), connected(routing, other_end)
        flood = _flood(rude)

        async def main() -> int:
            service = RouterNames(made.net_fd, lambda refusal: None)
            service.join("rude", ContainerNames((_named(rude_end, "rude"),)))
            service.join("other", ContainerNames((_named(other_end, "other"),)))
            answered = 0
            async with trio.open_nursery() as nursery:
                nursery.start_soon(service.run)
                await wait_all_tasks_blocked()
                for _ in range(200):
                    answered += len((await _ask(other, "rude")).answer)
                nursery.cancel_scope.cancel()
            return answered

        try:
            return {"answered": trio.run(main)}
        finally:
            os.kill(flood, signal.SIGKILL)
            os.waitpid(flood, 0)


def _flood(container: Container) -> int:
    """A process that asks as fast as it can."""
    asking = socket_in(container, socket.AF_INET)
    asking.connect((GATEWAY, 53))
    data = dns.message.make_query("other", "A").to_wire()
    pid = os.fork()
    while pid == 0:
        try:
            asking.send(data)
        except ConnectionRefusedError:  # nobody listens yet
            continue
    asking.close()
    return pid
