"""Published tcp ports through the forwarder: what one end does is what the other sees."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import select
import socket
import struct
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from net.client_address import ForwardTarget
from net.ports import PortMapping
from tests.net.forward_world import (
    CLIENT4,
    CLIENT6,
    GATEWAY4,
    GATEWAY6,
    HOST4,
    HOST6,
    OTHER_HOST4,
    TARGET,
    ForwardWorld,
    forward_world,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.requires("userns", "ipv6"), pytest.mark.slow]

MEBIBYTE = 1 << 20
EVERYWHERE = PortMapping("", 8080, 8000)


@pytest.fixture
def world(module_world: ForwardWorld) -> ForwardWorld:
    """With port 8080 of all addresses published to 8000 of the container."""
    module_world.start(EVERYWHERE)
    return module_world


@pytest.fixture
def server(world: ForwardWorld) -> Iterator[socket.socket]:
    with world.server(8000) as server:
        yield server


@pytest.fixture
def pair(world: ForwardWorld, server: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A connection's two ends, of the client and of the container."""
    with world.connect("client", (HOST4, 8080)) as client, server.accept()[0] as inside:
        inside.settimeout(30)
        yield client, inside


def read_all(stream: socket.socket) -> bytes:
    return b"".join(iter(lambda: stream.recv(65536), b""))


def transfer(sender: socket.socket, receiver: socket.socket, size: int) -> tuple[str, str]:
    """Send `size` bytes and the end of the stream; digests of what was sent and of what arrived."""
    block = os.urandom(MEBIBYTE)
    sent, arrived = hashlib.sha256(), hashlib.sha256()
    left, at = size, 0
    sender.setblocking(False)
    receiver.setblocking(False)
    waiting = select.epoll()
    waiting.register(sender, select.EPOLLOUT)
    waiting.register(receiver, select.EPOLLIN)
    try:
        while True:
            for fd, _ in waiting.poll(60):
                if fd == sender.fileno():
                    number = sender.send(block[at : at + left])
                    sent.update(block[at : at + number])
                    at, left = (at + number) % MEBIBYTE, left - number
                    if not left:
                        waiting.unregister(sender)
                        sender.shutdown(socket.SHUT_WR)
                elif data := receiver.recv(MEBIBYTE):
                    arrived.update(data)
                else:
                    return sent.hexdigest(), arrived.hexdigest()
    finally:
        waiting.close()


@pytest.mark.parametrize("mebibytes", [64, pytest.param(1024, marks=pytest.mark.long)])
def test_all_bytes_arrive_in_both_directions(pair: tuple[socket.socket, socket.socket], mebibytes: int) -> None:
    client, inside = pair
    sent, arrived = transfer(client, inside, mebibytes * MEBIBYTE)
    assert arrived == sent
    sent, arrived = transfer(inside, client, mebibytes * MEBIBYTE)
    assert arrived == sent


def test_the_end_of_one_direction_is_passed_on_alone(pair: tuple[socket.socket, socket.socket]) -> None:
    client, inside = pair
    client.sendall(b"question")
    client.shutdown(socket.SHUT_WR)
    assert read_all(inside) == b"question"
    inside.sendall(b"answer")
    assert client.recv(100) == b"answer"
    inside.sendall(b"more")
    inside.close()
    assert read_all(client) == b"more"


def test_the_container_may_end_first(pair: tuple[socket.socket, socket.socket]) -> None:
    client, inside = pair
    inside.sendall(b"220 hello")
    inside.shutdown(socket.SHUT_WR)
    assert read_all(client) == b"220 hello"
    client.sendall(b"x" * 300_000)
    client.close()
    assert len(read_all(inside)) == 300_000


def reset(stream: socket.socket) -> None:
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.close()


@pytest.mark.parametrize("who", ["client", "container"])
def test_a_reset_is_passed_on(pair: tuple[socket.socket, socket.socket], who: str) -> None:
    one, other = pair if who == "client" else pair[::-1]
    one.sendall(b"x")
    assert other.recv(10) == b"x"
    reset(one)
    with pytest.raises(ConnectionResetError):
        other.recv(10)


def test_a_reset_is_passed_on_past_a_reader_that_is_slow(pair: tuple[socket.socket, socket.socket]) -> None:
    client, inside = pair
    _fill(client)
    reset(client)
    with pytest.raises(ConnectionResetError):
        read_all(inside)


def test_a_reset_is_passed_on_past_the_end_of_a_direction(pair: tuple[socket.socket, socket.socket]) -> None:
    client, inside = pair
    client.shutdown(socket.SHUT_WR)
    assert read_all(inside) == b""
    reset(client)
    poll = select.poll()
    poll.register(inside, 0)
    assert poll.poll(20_000) == [(inside.fileno(), select.POLLERR | select.POLLHUP)]


def test_a_port_that_nobody_listens_on_resets(world: ForwardWorld) -> None:
    with pytest.raises(ConnectionResetError), world.connect("client", (HOST4, 8080)) as client:
        client.recv(10)


def test_a_container_without_an_address_resets(world: ForwardWorld, server: socket.socket) -> None:
    world.lead_to(ForwardTarget())
    with pytest.raises(ConnectionResetError), world.connect("client", (HOST4, 8080)) as client:
        client.recv(10)
    world.lead_to(TARGET)
    with world.connect("client", (HOST4, 8080)), server.accept()[0] as inside:
        assert inside.getpeername()[0] == CLIENT4


@pytest.mark.parametrize(
    ("place", "address", "seen"),
    [
        ("client", HOST4, CLIENT4),
        ("client", OTHER_HOST4, CLIENT4),
        ("host", "127.0.0.1", GATEWAY4),
        ("host", "127.0.0.9", GATEWAY4),
        ("host", HOST4, GATEWAY4),
        ("client", HOST6, CLIENT6),
        ("host", "::1", GATEWAY6),
        ("host", HOST6, GATEWAY6),
    ],
)
def test_the_container_sees_who_comes(world: ForwardWorld, place: str, address: str, seen: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with world.server(8000, family) as server, world.connect(place, (address, 8080)) as client:
        inside, peer = server.accept()
        with inside:
            assert peer[0] == seen
            # of a client from elsewhere its port is kept too
            assert (peer[1] == client.getsockname()[1]) == (place == "client")
            inside.sendall(b"answer")
            assert client.recv(100) == b"answer"


def test_ipv6_clients_reach_a_network_without_ipv6(world: ForwardWorld, server: socket.socket) -> None:
    world.lead_to(TARGET._replace(address6=""))
    with world.connect("client", (HOST6, 8080)), server.accept()[0] as inside:
        assert inside.getpeername()[0] == GATEWAY4


def test_one_port_of_a_client_talks_to_two_published_ones(world: ForwardWorld, server: socket.socket) -> None:
    world.add(PortMapping("", 8081, 8000))
    with world.socket_in("client") as one, world.socket_in("client") as other:
        for client, port in ((one, 8080), (other, 8081)):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind((CLIENT4, 40000))
            client.connect((HOST4, port))
        peers = [server.accept() for _ in (one, other)]
    # the second by any port: two connections between the same two cannot be told apart
    assert [peer[0] for _, peer in peers] == [CLIENT4, CLIENT4]
    for inside, _ in peers:
        inside.close()


def _fill(stream: socket.socket) -> int:
    """Send until nothing more is taken for a moment; how much that was."""
    stream.setblocking(False)
    total = 0
    while select.select([], [stream], [], 0.3)[1]:
        total += stream.send(bytes(65536))
    return total


def _memory_kib(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def test_a_reader_that_is_slow_takes_no_memory(world: ForwardWorld, server: socket.socket) -> None:
    with ExitStack() as open_ones:
        pairs, sent = [], []
        before = _memory_kib(world.pid)
        for _ in range(4):
            client = open_ones.enter_context(world.connect("client", (HOST4, 8080)))
            inside = open_ones.enter_context(server.accept()[0])
            pairs.append((client, inside))
            sent.append(_fill(client))
        # a chunk for each, and the pages that the first ones touch
        grown = (_memory_kib(world.pid) - before) * 1024
        assert grown < sum(sent) / 8
        for (client, inside), size in zip(pairs, sent, strict=True):
            client.shutdown(socket.SHUT_WR)
            assert len(read_all(inside)) == size


def test_a_connection_that_moves_much_leaves_others_their_turn(world: ForwardWorld, server: socket.socket) -> None:
    with world.connect("client", (HOST4, 8080)) as busy, server.accept()[0] as inside:
        sent = _fill(busy)
        with world.connect("client", (HOST4, 8080)) as quick, server.accept()[0] as answering:
            quick.sendall(b"question")
            assert answering.recv(100) == b"question"
        busy.shutdown(socket.SHUT_WR)
        assert len(read_all(inside)) == sent


def test_connections_wait_for_another_forwarder(world: ForwardWorld, server: socket.socket) -> None:
    world.kill()
    with world.connect("client", (HOST4, 8080)) as client:
        client.sendall(b"early")
        world.restart()
        with server.accept()[0] as inside:
            assert inside.recv(100) == b"early"


def test_one_that_has_nothing_to_do_ends(world: ForwardWorld) -> None:
    assert world.wait_idle() == 0


def test_ports_are_added_and_removed(world: ForwardWorld, server: socket.socket) -> None:
    (bound,) = world.add(PortMapping("127.0.0.1", 0, 8000))
    with world.connect("host", ("127.0.0.1", bound.host_port)) as client, server.accept()[0] as inside:
        world.remove(bound)
        with pytest.raises(ConnectionRefusedError):
            world.connect("host", ("127.0.0.1", bound.host_port))
        # what is open goes on
        client.sendall(b"x")
        assert inside.recv(10) == b"x"
    # and the port is free for others at once
    assert world.add(bound) == [bound]


def test_more_ports_than_one_message_takes(world: ForwardWorld) -> None:
    added = world.add(*(PortMapping("127.0.0.1", port, port) for port in range(20000, 20500)))
    with world.server(20499) as server, world.connect("host", ("127.0.0.1", 20499)), server.accept()[0]:
        world.remove(*added)


@pytest.mark.parametrize(("version", "address"), [(1, HOST4), (2, HOST4), (1, HOST6), (2, HOST6)])
def test_the_proxy_protocol_tells_the_client(world: ForwardWorld, version: int, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    world.start(EVERYWHERE._replace(proxy_protocol=version))
    with world.server(8000, family) as server, world.connect("client", (address, 8080)) as client:
        inside, peer = server.accept()
        with inside:
            # the header comes before the client says anything
            header = inside.recv(1000)
            client.sendall(b"question")
            assert inside.recv(100) == b"question"
        source, port = client.getsockname()[:2]
    if version == 1:
        word = "TCP6" if ":" in address else "TCP4"
        assert header == f"PROXY {word} {source} {address} {port} 8080\r\n".encode()
    else:
        packed = socket.inet_pton(family, source) + socket.inet_pton(family, address) + struct.pack("!HH", port, 8080)
        kind = b"\x21" if ":" in address else b"\x11"
        assert header == b"\r\n\r\n\0\r\nQUIT\n\x21" + kind + struct.pack("!H", len(packed)) + packed
    # who trusts such headers trusts one address
    assert peer[0] == (GATEWAY6 if ":" in address else GATEWAY4)


def test_urgent_bytes_are_part_of_the_stream(pair: tuple[socket.socket, socket.socket]) -> None:
    client, inside = pair
    client.send(b"ab")
    client.send(b"!", socket.MSG_OOB)
    client.send(b"cd")
    client.shutdown(socket.SHUT_WR)
    assert read_all(inside) == b"ab!cd"


def _act_at_random(one: socket.socket, choose: random.Random) -> bool:
    """Do something to one end of a connection; whether it is still open."""
    try:
        match choose.randrange(6):
            case 0:
                one.send(bytes(choose.choice([1, 100, 70_000, 200_000])))
            case 1:
                one.recv(choose.choice([1, 100_000]))
            case 2:
                one.send(b"!", socket.MSG_OOB)
            case 3:
                one.shutdown(socket.SHUT_WR)
            case 4:
                reset(one)
            case 5:
                one.close()
    except OSError:  # full, empty, or ended by the other end
        pass
    return one.fileno() >= 0


@pytest.mark.parametrize("seed", range(2))
def test_whatever_the_ends_do_nothing_is_left(world: ForwardWorld, server: socket.socket, seed: int) -> None:
    choose = random.Random(seed)
    ends: list[socket.socket] = []
    for _ in range(600):
        if len(ends) < 40:
            ends += (world.connect(choose.choice(["client", "host"]), (HOST4, 8080)), server.accept()[0])
            for end in ends[-2:]:
                end.setblocking(False)
        number = choose.randrange(len(ends))
        if not _act_at_random(ends[number], choose):
            del ends[number]
    for end in ends:
        end.close()
    deadline = time.monotonic() + 30
    # standard ones, epoll, control, two listening sockets, and the spare one
    while len(os.listdir(f"/proc/{world.pid}/fd")) > 8:
        assert time.monotonic() < deadline
        world.settle()


def test_no_descriptor_is_left_over(world: ForwardWorld, server: socket.socket) -> None:
    def descriptors() -> int:
        return len(os.listdir(f"/proc/{world.pid}/fd"))

    before = 0
    for turn in range(40):
        with world.connect("client", (HOST4, 8080)) as client, server.accept()[0] as inside:
            if turn == 0:
                before = descriptors()
            inside.sendall(b"x")
            assert client.recv(1) == b"x"
            if turn % 2:
                reset(client)
                with pytest.raises(ConnectionResetError):
                    inside.recv(1)
    with world.connect("client", (HOST4, 8080)) as client, server.accept()[0] as inside:
        inside.sendall(b"x")
        assert client.recv(1) == b"x"
        assert descriptors() == before


@pytest.mark.parametrize("is_told", [True, False], ids=["by its own limit", "by the kernel"])
def test_connections_wait_when_there_is_no_descriptor_left(is_told: bool) -> None:
    with forward_world(limit=200 if is_told else 0) as world, world.server(8000) as server:
        world.start(EVERYWHERE)
        if not is_told:
            # it has read its limit
            world.settle()
            resource.prlimit(world.pid, resource.RLIMIT_NOFILE, (100, 100))
        with ExitStack() as open_ones:
            for _ in range(120):
                open_ones.enter_context(world.connect("client", (HOST4, 8080)))
            served = []
            while select.select([server], [], [], 1)[0]:
                served.append(open_ones.enter_context(server.accept()[0]))
            assert 20 < len(served) < 100
            # as some end others are served
            for number in range(120 - len(served)):
                reset(served[number])
                served.append(open_ones.enter_context(server.accept()[0]))


@pytest.mark.long
def test_idle_connections_take_little(world: ForwardWorld, server: socket.socket) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with ExitStack() as open_ones:
            client = inside = open_ones.enter_context(world.socket_in("client"))
            for _ in range(min(9900, hard // 2 - 100)):
                client = open_ones.enter_context(world.connect("client", (HOST4, 8080)))
                inside = open_ones.enter_context(server.accept()[0])
            assert _memory_kib(world.pid) <= 20 * 1024
            client.sendall(b"last")
            assert inside.recv(10) == b"last"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
