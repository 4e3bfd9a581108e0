"""Published udp ports through the forwarder."""

from __future__ import annotations

import os
import select
import socket

import pytest

from net.balance import Balance, Target
from net.client_address import ClientAddresses, ForwardTarget
from net.forward_udp import ANSWERED_SECONDS, FLOW_LIMIT, SILENT_SECONDS, UdpForwarder, UdpPort
from net.listeners import open_listeners
from net.ports import PortMapping
from tests.net.forward_world import (
    CLIENT4,
    CLIENT6,
    GATEWAY4,
    GATEWAY6,
    HOST4,
    HOST6,
    OTHER_HOST4,
    OTHER_HOST6,
    TARGET,
    ForwardWorld,
)

pytestmark = [pytest.mark.requires("userns", "ipv6"), pytest.mark.slow]


@pytest.fixture
def world(module_world: ForwardWorld) -> ForwardWorld:
    module_world.start(PortMapping("", 5300, 53000, "udp"))
    return module_world


def family_of(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@pytest.mark.parametrize(
    ("place", "address", "seen"),
    [
        ("client", HOST4, CLIENT4),
        ("client", OTHER_HOST4, CLIENT4),
        ("host", "127.0.0.1", GATEWAY4),
        ("host", HOST4, GATEWAY4),
        ("client", HOST6, CLIENT6),
        ("client", OTHER_HOST6, CLIENT6),
        ("host", "::1", GATEWAY6),
    ],
)
def test_answers_come_from_the_address_that_was_asked(world: ForwardWorld, place: str, address: str, seen: str) -> None:
    family = family_of(address)
    with (
        world.server(53000, family, socket.SOCK_DGRAM) as server,
        world.socket_in(place, family, socket.SOCK_DGRAM) as client,
    ):
        client.sendto(b"question", (address, 5300))
        data, peer = server.recvfrom(100)
        assert (data, peer[0]) == (b"question", seen)
        server.sendto(b"answer", peer)
        data, source = client.recvfrom(100)
        assert (data, source[:2]) == (b"answer", (address, 5300))


def test_two_addresses_asked_from_one_port_are_kept_apart(world: ForwardWorld) -> None:
    with (
        world.server(53000, kind=socket.SOCK_DGRAM) as server,
        world.socket_in("client", kind=socket.SOCK_DGRAM) as client,
    ):
        for address in (HOST4, OTHER_HOST4):
            client.sendto(address.encode(), (address, 5300))
        for _ in range(2):
            data, peer = server.recvfrom(100)
            assert peer[0] == CLIENT4
            server.sendto(data, peer)
        for _ in range(2):
            data, source = client.recvfrom(100)
            assert source == (data.decode(), 5300)


def test_large_and_empty_datagrams(world: ForwardWorld) -> None:
    with (
        world.server(53000, kind=socket.SOCK_DGRAM) as server,
        world.socket_in("client", kind=socket.SOCK_DGRAM) as client,
    ):
        for text in (os.urandom(65507), b""):
            client.sendto(text, (HOST4, 5300))
            data, peer = server.recvfrom(70000)
            assert data == text
            server.sendto(text, peer)
            assert client.recv(70000) == text


def test_a_port_that_nobody_listens_on_does_no_harm(world: ForwardWorld) -> None:
    with world.socket_in("client", kind=socket.SOCK_DGRAM) as client:
        client.bind((CLIENT4, 0))
        client.sendto(b"lost", (HOST4, 5300))
        world.settle()
        with world.server(53000, kind=socket.SOCK_DGRAM) as server:
            # the kernel tells of the first one at the flow's socket, and may do so in place of sending the second
            for _ in range(2):
                client.sendto(b"found", (HOST4, 5300))
            assert server.recv(100) == b"found"


def test_flows_are_limited(world: ForwardWorld) -> None:
    world.settle()
    before = len(os.listdir(f"/proc/{world.pid}/fd"))
    with world.server(53000, kind=socket.SOCK_DGRAM) as server:
        for _ in range(FLOW_LIMIT + 30):
            with world.socket_in("host", kind=socket.SOCK_DGRAM) as client:
                client.sendto(b"x", ("127.0.0.1", 5300))
                assert server.recv(10) == b"x"
        world.settle()
        assert len(os.listdir(f"/proc/{world.pid}/fd")) <= before + FLOW_LIMIT


def test_flows_follow_the_container(world: ForwardWorld) -> None:
    with (
        world.server(53000, kind=socket.SOCK_DGRAM) as server,
        world.socket_in("host", kind=socket.SOCK_DGRAM) as client,
    ):
        client.connect(("127.0.0.1", 5300))
        client.send(b"x")
        first = server.recvfrom(10)[1]
        # where there is no way to
        world.lead_to(TARGET._replace(address4=HOST4))
        client.send(b"lost")
        world.settle()
        world.lead_to(TARGET)
        client.send(b"again")
        data, second = server.recvfrom(10)
        assert data == b"again"
        assert second != first


def test_a_removed_port_is_closed(world: ForwardWorld) -> None:
    (bound,) = world.add(PortMapping("127.0.0.1", 5301, 53000, "udp"))
    world.remove(bound)
    assert world.add(bound) == [bound]


def test_a_silent_flow_ends_and_one_with_answers_later() -> None:
    (listener,) = open_listeners([PortMapping("127.0.0.1", 0, 9, "udp")])
    with (
        socket.socket(type=socket.SOCK_DGRAM) as server,
        socket.socket(type=socket.SOCK_DGRAM) as silent,
        socket.socket(type=socket.SOCK_DGRAM) as answered,
        socket.socket(fileno=listener.fd) as bound,
        select.epoll() as epoll,
    ):
        server.bind(("127.0.0.1", 0))
        mapping = listener.mapping._replace(container_port=server.getsockname()[1])
        port = UdpPort(bound, mapping)
        balance = Balance()
        balance.targets[""] = target = Target("", ClientAddresses(ForwardTarget("127.0.0.1")))
        forwarder = UdpForwarder(epoll, balance, bytearray(65536))
        peers = []
        for client in (silent, answered):
            client.sendto(b"x", ("127.0.0.1", mapping.host_port))
            forwarder.from_host(port, 0)
            peers.append(server.recvfrom(10)[1])
        server.sendto(b"answer", peers[-1])
        forwarder.from_container(list(forwarder.flows.values())[-1], 0)
        assert answered.recv(10) == b"answer"
        left = []
        for now_seconds in (SILENT_SECONDS, SILENT_SECONDS + 1, ANSWERED_SECONDS, ANSWERED_SECONDS + 1):
            forwarder.forget_silent(now_seconds)
            left.append(len(forwarder.flows))
        assert left == [2, 1, 1, 0]
        assert port.flows == {}
        assert target.open == 0
