"""Clients on another machine, behind a wire, of containers' published ports: the server sees who they are."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests import leaks
from tests.command import Home, Sandbox
from tests.integration.network.echo_containers import HOST_PYTHON
from tests.needs import CONTAINER
from tests.other_host import OtherHost
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox", "ipv6"), pytest.mark.slow]

#: of the host, and of the client; documentation space, RFC 5737 and RFC 3849
WIRE4, WIRE6 = ("198.51.100.1/24", "198.51.100.7/24"), ("2001:db8::1/64", "2001:db8::7/64")
#: answers at port 80 of tcp and 53 of udp, of both versions, with the address of who asks, and prints "up" when it does
_SERVE = """
import selectors, socket
waiting = selectors.DefaultSelector()
for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
    for kind, port in ((socket.SOCK_STREAM, 80), (socket.SOCK_DGRAM, 53)):
        one = socket.socket(family, kind)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((everywhere, port))
        if kind == socket.SOCK_STREAM:
            one.listen()
        waiting.register(one, selectors.EVENT_READ)
print("up", flush=True)
while True:
    for key, _ in waiting.select():
        if key.fileobj.type == socket.SOCK_STREAM:
            peer, address = key.fileobj.accept()
            with peer:
                peer.sendall(address[0].encode())
        else:
            _, address = key.fileobj.recvfrom(100)
            key.fileobj.sendto(address[0].encode(), address)
"""
#: asks it, and prints what it answers
_ASK = """
import socket, sys
protocol, address, port = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET
with socket.socket(family, socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM) as client:
    client.settimeout(20)
    client.connect((address, int(port)))
    if protocol == "udp":
        client.send(b"question")
    print(client.recv(100).decode())
"""


def _plain(wire: tuple[str, str]) -> tuple[str, str]:
    host, client = (text.partition("/")[0] for text in wire)
    return host, client


def _asked(words: Sequence[str], protocol: str, address: str, port: int) -> str:
    command = [*words, sys.executable, "-c", _ASK, protocol, address, str(port)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


def test_a_server_sees_clients_of_other_machines_by_their_addresses(
    home: Home, busybox: str, eventually: Callable[..., None]
) -> None:
    host = OtherHost(home)
    host.has_network()
    port = find_free_port()
    with host.enter() as sandbox, sandbox.neighbour(WIRE4, WIRE6) as client:
        sandbox.run("network", "create", "--ipv6", "front")
        sandbox.run(
            *("run", "-d", "--name", "web", "--network", "front", "-p", f"{port}:80", "-p", f"{port}:53/udp"),
            *(*HOST_PYTHON, busybox, "/usr/bin/python3", "-c", _SERVE),
        )
        eventually(lambda: "up" in sandbox.run("logs", "web").stdout)
        gateways = sandbox.run(
            "inspect", "-f", "{{with .NetworkSettings.Networks.front}}{{.Gateway}} {{.IPv6Gateway}}{{end}}", "web"
        ).stdout.split()
        for wire, gateway in zip((WIRE4, WIRE6), gateways, strict=True):
            host_address, client_address = _plain(wire)
            for protocol in ("tcp", "udp"):
                assert _asked(client, protocol, host_address, port) == client_address
                # who is on the host itself has no address that a container could answer to
                assert _asked([*sandbox.enter_words()], protocol, host_address, port) == gateway
        sandbox.run("rm", "-f", "web")
        sandbox.run("network", "rm", "front")


@pytest.fixture
def postgres(request: pytest.FixtureRequest, servers_layout: Path) -> Iterator[Home]:
    """A home with the image `postgres` in its store."""
    home = Home.make(request.config.getoption("--storage-driver"))
    Sandbox(home).load_layout(servers_layout)
    yield home
    left = leaks.wait_processes_gone(str(home.root), hurry=True)
    home.remove()
    assert left == []


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.requires("umoci", "mmdebstrap", "postgresql")
def test_pgbench_and_psql_on_another_machine(postgres: Home) -> None:
    """The real client: many sessions at once by each version of IP, and what the server knows of whose they are."""
    host = OtherHost(postgres)
    host.has_network()
    port = find_free_port()
    with host.enter() as sandbox, sandbox.neighbour(WIRE4, WIRE6) as client:
        sandbox.run("network", "create", "--ipv6", "front")
        sandbox.run("run", "-d", "--name", "db", "--network", "front", "-p", f"{port}:5432", "postgres")
        sandbox.wait_for_words("db", "database system is ready to accept connections")

        def run(program: str, address: str, *words: str) -> str:
            command = [*client, program, "-h", address, "-p", str(port), "-U", "postgres", *words]
            done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr
            return done.stdout

        run("pgbench", _plain(WIRE4)[0], "-i", "-q", "-s", "2", "postgres")
        for wire in (WIRE4, WIRE6):
            host_address, client_address = _plain(wire)
            assert run("psql", host_address, "-Atc", "select host(inet_client_addr())").strip() == client_address
            told = run("pgbench", host_address, "-n", "-c", "20", "-j", "2", "-t", "50", "postgres")
            assert "number of transactions actually processed: 1000/1000" in told
            # -C: a connection for each transaction
            told = run("pgbench", host_address, "-n", "-C", "-S", "-c", "10", "-t", "20", "postgres")
            assert "number of transactions actually processed: 200/200" in told
        books = (
            "select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history), count(*)"
        )
        assert run("psql", _plain(WIRE6)[0], "-Atc", f"{books} from pgbench_history").strip() == "t|2000"
        sandbox.run("rm", "-f", "-v", "db")
        sandbox.run("network", "rm", "front")
