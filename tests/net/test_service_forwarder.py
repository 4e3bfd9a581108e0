"""The published ports of a service: which member gets a connection, and what becomes of one that leaves."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from net.listeners import open_listeners
from net.ports import PortMapping
from net.service_protocol import ServiceDoor, ServiceMember
from tests.net.forward_world import CLIENT4, HOST4, TARGETS, ForwardWorld

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.requires("userns", "ipv6"), pytest.mark.slow]

PORT = 8080
TCP, UDP = PortMapping("", PORT, 8000), PortMapping("", PORT, 5300, "udp")


@pytest.fixture
def world(module_world: ForwardWorld) -> ForwardWorld:
    return module_world


class Service:
    """A forwarder of a service, and processes that stand for its members'."""

    def __init__(self, world: ForwardWorld, door: ServiceDoor, path: str) -> None:
        self.world, self.door, self._path = world, door, path
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def admit(self, *names: str, weight: int = 1) -> None:
        for name in names:
            if name not in self.processes:
                self.processes[name] = subprocess.Popen(["sleep", "infinity"])
            with open_process(self.processes[name].pid) as pidfd:
                self.door.admit(ServiceMember(name, TARGETS[name], weight), pidfd)

    def another_door(self) -> ServiceDoor:
        return connected_door(self._path)

    def open(self) -> dict[str, int]:
        return {one.key: one.open for one in self.door.info().members}

    def connect(self) -> socket.socket:
        return self.world.connect("client", (HOST4, PORT))

    def wait_for(self, expected: dict[str, int]) -> None:
        """Wait until the members have so many open connections each."""
        deadline = time.monotonic() + 60
        while (now := self.open()) != expected:
            assert time.monotonic() < deadline, now


@contextmanager
def open_process(pid: int) -> Iterator[int]:
    pidfd = os.pidfd_open(pid)
    try:
        yield pidfd
    finally:
        os.close(pidfd)


def connected_door(path: str) -> ServiceDoor:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(60)
    connection.connect(path)
    return ServiceDoor(connection)


@pytest.fixture
def service(world: ForwardWorld, tmp_path: Path) -> Iterator[Service]:
    """With port 8080, of tcp and of udp, and no member yet."""
    path = str(tmp_path / "door")
    world.serve(path, TCP, UDP)
    service = Service(world, connected_door(path), path)
    yield service
    service.door.end()
    service.door.connection.close()
    for process in service.processes.values():
        process.kill()
        process.wait()


@pytest.fixture
def servers(world: ForwardWorld) -> Iterator[dict[str, socket.socket]]:
    """A listening socket in each container."""
    with ExitStack() as open_ones:
        yield {name: open_ones.enter_context(world.server(8000, place=name)) for name in TARGETS}


def taken(servers: dict[str, socket.socket], names: Sequence[str] = tuple(TARGETS)) -> tuple[str, socket.socket]:
    """Which of the members gets the next connection, and its end of it."""
    waiting = select.select([servers[name] for name in names], [], [], 60)[0]
    name = next(name for name in names if servers[name] in waiting)
    inside, _ = servers[name].accept()
    inside.settimeout(60)
    return name, inside


def test_connections_are_spread_and_the_least_loaded_is_next(
    service: Service, servers: dict[str, socket.socket]
) -> None:
    service.admit(*TARGETS)
    with ExitStack() as open_ones:
        inside: dict[str, list[socket.socket]] = {name: [] for name in TARGETS}
        for _ in range(9):
            open_ones.enter_context(service.connect())
            name, end = taken(servers)
            inside[name].append(open_ones.enter_context(end))
        assert {name: len(ends) for name, ends in inside.items()} == dict.fromkeys(TARGETS, 3)
        service.wait_for(dict.fromkeys(TARGETS, 3))
        assert inside["second"][0].getpeername()[0] == CLIENT4


def test_without_members_a_connection_is_reset(service: Service) -> None:
    with pytest.raises(ConnectionResetError), service.connect() as client:
        client.recv(1)


def test_a_member_that_refuses_is_passed_over(service: Service, servers: dict[str, socket.socket]) -> None:
    service.admit(*TARGETS)
    servers["container"].close()
    servers["third"].close()
    for _ in range(6):
        with service.connect() as client:
            name, inside = taken(servers, ["second"])
            with inside:
                inside.sendall(name.encode())
                assert client.recv(100) == b"second"
    servers["second"].close()
    with pytest.raises(ConnectionResetError), service.connect() as client:
        client.recv(1)


def test_a_member_that_is_withdrawn_gets_nothing_new_and_ends_what_it_has(
    service: Service, servers: dict[str, socket.socket]
) -> None:
    service.admit("container")
    with service.connect() as asking, service.connect() as idle:
        insides = [taken(servers, ["container"])[1] for _ in (asking, idle)]
        by_port = {inside.getpeername()[1]: inside for inside in insides}
        serving = by_port[asking.getsockname()[1]]
        idle_inside = by_port[idle.getsockname()[1]]
        asking.sendall(b"question")
        assert serving.recv(100) == b"question"
        service.admit("second")
        service.door.withdraw("container")
        service.door.withdraw("never heard of")
        with service.connect():
            name, other = taken(servers, ["container", "second"])
            other.close()
            assert name == "second"
        drain = service.another_door()
        assert drain.begin_drain("container")
        # what waits for its answer is waited for
        assert not select.select([drain.connection], [], [], 2)[0]
        serving.sendall(b"answer")
        assert asking.recv(100) == b"answer"
        assert select.select([drain.connection], [], [], 60)[0]
        # and what was idle is ended, in the way of who has no more to say
        assert (asking.recv(1), idle.recv(1), idle_inside.recv(1)) == (b"", b"", b"")
        drain.connection.close()
        service.wait_for({"container": 0, "second": 0})
        service.admit("container")
        assert {one.key for one in service.door.info().members if not one.is_leaving} == {"container", "second"}
        for end in insides:
            end.close()


def test_a_member_without_connections_is_drained_at_once(service: Service) -> None:
    service.admit("container")
    service.door.withdraw("container")
    assert not service.another_door().begin_drain("container")
    assert not service.another_door().begin_drain("never heard of")


def test_a_member_whose_process_ends_is_out(service: Service, servers: dict[str, socket.socket]) -> None:
    service.admit("container", "second")
    service.processes["container"].kill()
    service.processes["container"].wait()
    service.wait_for({"second": 0})
    for _ in range(3):
        with service.connect():
            name, inside = taken(servers, ["container", "second"])
            inside.close()
            assert name == "second"


def test_with_affinity_a_client_comes_to_one_member(service: Service, servers: dict[str, socket.socket]) -> None:
    service.admit(*TARGETS)
    service.door.set_affinity(True)

    def who() -> str:
        with service.connect():
            name, inside = taken(servers)
            inside.close()
            return name

    (first,) = {who() for _ in range(6)}
    service.door.withdraw(first)
    (second,) = {who() for _ in range(6)}
    service.admit(first)
    assert second != first
    assert {who() for _ in range(6)} == {first}


def test_datagrams_of_a_client_go_elsewhere_when_its_member_is_withdrawn(service: Service) -> None:
    service.admit("container", "second")
    kind = socket.SOCK_DGRAM
    with (
        service.world.server(5300, kind=kind, place="container") as one,
        service.world.server(5300, kind=kind, place="second") as two,
        service.world.socket_in("client", kind=kind) as client,
    ):
        members = {"container": one, "second": two}

        def sent() -> str:
            client.sendto(b"question", (HOST4, PORT))
            waiting = select.select([one, two], [], [], 60)[0]
            return next(name for name, server in members.items() if server in waiting)

        def answer(name: str, text: bytes) -> None:
            _, peer = members[name].recvfrom(100)
            members[name].sendto(text, peer)
            assert client.recvfrom(100) == (text, (HOST4, PORT))

        first = sent()
        question, peer = members[first].recvfrom(100)
        assert (question, peer[0]) == (b"question", CLIENT4)
        service.door.withdraw(first)
        second = sent()
        assert second != first
        answer(second, b"of the second")
        # what was asked before is still answered
        members[first].sendto(b"late", peer)
        assert client.recvfrom(100) == (b"late", (HOST4, PORT))


def test_ports_come_go_and_lead_elsewhere(service: Service, servers: dict[str, socket.socket]) -> None:
    service.admit("container")
    with service.world.server(8001) as other:
        service.door.map(
            [one._replace(container_port=8001) for one in service.door.info().ports if one.protocol == "tcp"]
        )
        with service.connect(), other.accept()[0]:
            pass
    keys = [(one.host_ip, one.host_port, one.protocol) for one in service.door.info().ports]
    service.door.remove(keys)
    assert service.door.info().ports == ()
    with pytest.raises(ConnectionRefusedError):
        service.connect()
    service.door.remove(keys)


def test_what_is_no_message_is_refused(service: Service) -> None:
    door = service.another_door()
    for text in (b"{", b"[]", b'{"do": "dance"}', b'{"do": "admit", "member": []}', b'{"do": "remove"}'):
        door.connection.send(text)
        assert b"error" in door.connection.recv(1000)
    assert service.door.info().service == "web"


def test_listening_sockets_are_added_while_it_runs(service: Service) -> None:
    (listener,) = open_listeners([PortMapping("127.0.0.1", 0, 8000)])
    with socket.socket(fileno=listener.fd):
        service.door.add([listener.mapping], [listener.fd])
        assert listener.mapping in service.door.info().ports
        # a connect with a deadline looks at the socket after it is connected, and may be the one that sees the reset
        with (
            pytest.raises(ConnectionResetError),
            socket.create_connection(("127.0.0.1", listener.mapping.host_port), timeout=60) as client,
        ):
            client.recv(1)
