"""Real servers of Debian on networks: who finds them by which name, who cannot reach them, what a client keeps."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Self

import pytest

from tests import leaks
from tests.command import Home, Sandbox
from tests.end_to_end.conftest import fetch, shared_store
from tests.integration.network.echo_containers import HOST_PYTHON
from tests.needs import CONTAINER
from tests.net.interface_addresses import list_addresses
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox", "umoci", "mmdebstrap"),
    pytest.mark.slow,
    # the first one waits until PostgreSQL, Redis and nginx are fetched and made into images
    pytest.mark.timeout(900),
]

_PAGE = "<h1>served from a container</h1>\n"
#: fetches the page of each server named, and prints it
_FETCH = """
import sys, urllib.request
for name in sys.argv[1:]:
    print(urllib.request.urlopen(f"http://{name}/", timeout=20).read().decode(), end="")
"""
#: sends lines to a Redis by one connection, and prints what it answers to each: a status, or a text
_ASK_REDIS = """
import socket, sys
with socket.create_connection((sys.argv[1], 6379), timeout=3) as client:
    answers = client.makefile("rb")
    for line in sys.argv[2:]:
        client.sendall(line.encode() + b"\\r\\n")
        head = answers.readline().decode().strip()
        print(answers.readline().decode().strip() if head[0] == "$" else head)
"""


@pytest.fixture(scope="module")
def loaded(request: pytest.FixtureRequest, servers_layout: Path, busybox_tar: Path) -> Iterator[Home]:
    """A home with the images of servers, and `busybox` for their clients, for all tests of this module."""
    home = Home.make(request.config.getoption("--storage-driver"))
    Sandbox(home).load_layout(servers_layout)
    Sandbox(home).run("import", busybox_tar, "busybox")
    yield home
    left = leaks.wait_processes_gone(str(home.root), hurry=True)
    home.remove()
    assert left == []


@pytest.fixture
def servers(loaded: Home) -> Iterator[Sandbox]:
    with shared_store(loaded) as command:
        yield command
    command.run("network", "prune", "-f")


def _python(script: str, *arguments: str) -> tuple[str, ...]:
    return ("/usr/bin/python3", "-c", script, *arguments)


def _fetch_at_once(sandbox: Sandbox, options: tuple[str, ...], names: tuple[str, ...], clients: int) -> None:
    """Containers that start together each get the page by each name."""
    words = ("run", "--rm", *options, *HOST_PYTHON, "busybox", *_python(_FETCH, *names))
    processes = [sandbox.spawn(*words) for _ in range(clients)]
    told = [process.communicate(timeout=120) for process in processes]
    assert told == [((_PAGE * len(names)).encode(), b"")] * clients


def _askers(sandbox: Sandbox, name: str, times: int) -> set[str]:
    """The addresses to which nginx has given so many pages in all, by its own log."""
    sandbox.wait_for_words(name, '"GET / HTTP/1.1" 200', times)
    return {line.split()[0] for line in sandbox.run("logs", name).lines}


def test_clients_find_nginx_by_its_names(servers: Sandbox) -> None:
    port = find_free_port()
    servers.run("network", "create", "--subnet", "172.30.1.0/24", "front")
    options = ("--network-alias", "shop", "--hostname", "site", "-p", f"127.0.0.1:{port}:80")
    own = servers.run("run", "-d", "--name", "web", "--network", "front", *options, "nginx").stdout[:12]
    # it answers
    assert fetch(port) == _PAGE
    _fetch_at_once(servers, ("--network", "front"), ("web", "shop", own, "web.front", "site"), clients=4)
    # each came with an address of its own; the host, with the gateway's
    assert _askers(servers, "web", 1 + 4 * 5) == {f"172.30.1.{number}" for number in (1, 3, 4, 5, 6)}


def test_clients_find_nginx_on_the_default_network(servers: Sandbox) -> None:
    port = find_free_port()
    host = next(one.address for one in list_addresses() if one.interface != "lo" and ":" not in one.address)
    own = servers.run("run", "-d", "--name", "web", "-p", f"{port}:80", "nginx").stdout[:12]
    assert fetch(port) == _PAGE
    address = servers.run("inspect", "-f", "{{.NetworkSettings.IPAddress}}", "web").stdout.strip()
    # the last way leads out to the host, and in again by the published port
    names = ("web", own, address, "linked", f"{host}:{port}")
    _fetch_at_once(servers, ("--link", "web:linked"), names, clients=2)
    assert len(_askers(servers, "web", 1 + 2 * 5)) == 3
    # so does that of the server to itself
    servers.run(
        "exec",
        "web",
        "bash",
        "-c",
        f"exec 3<>/dev/tcp/{host}/{port}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; grep h1 <&3",
    )


def test_redis_is_reached_from_its_own_network_alone(servers: Sandbox) -> None:
    servers.run("network", "create", "front")
    servers.run("network", "create", "back")
    servers.run("run", "-d", "--name", "cache", "--network", "back", "redis")
    idle = (*HOST_PYTHON, "busybox", "sleep", "1000")
    servers.run("run", "-d", "--name", "app", "--network", "front", "--network", "back", *idle)
    servers.run("run", "-d", "--name", "third", "--network", "front", *idle)
    servers.wait_for_words("cache", "Ready to accept connections")
    address = servers.run("inspect", "-f", "{{.NetworkSettings.Networks.back.IPAddress}}", "cache").stdout.strip()

    set_and_get = ("SET name value", "GET name", "INCR count")
    asked = servers.run("exec", "app", *_python(_ASK_REDIS, "cache", *set_and_get))
    assert asked.lines == ["+OK", "value", ":1"]
    # the third reaches who is on both, and not what lies behind: by name it is not there, by address there is no way
    servers.run("exec", "third", "busybox", "ping", "-c1", "-W5", "app")
    for place, error in (("cache", "gaierror"), (address, "Error")):
        refused = servers.run("exec", "third", *_python(_ASK_REDIS, place, "GET name"), status=1)
        assert error in refused.stderr.splitlines()[-1]
    servers.run("network", "connect", "back", "third")
    for place in ("cache", address):
        assert servers.run("exec", "third", *_python(_ASK_REDIS, place, "GET name")).lines == ["value"]
    servers.run("network", "disconnect", "back", "third")
    servers.run("exec", "third", *_python(_ASK_REDIS, address, "GET name"), status=1)
    assert servers.run("exec", "app", *_python(_ASK_REDIS, "cache", "INCR count")).lines == [":2"]


class _Postgres:
    """A client's session with PostgreSQL: protocol 3.0, its simple queries, rows of one column."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._stream = self._socket.makefile("rb")
        parameters = b"user\0postgres\0\0"
        self._socket.sendall(struct.pack("!ii", 8 + len(parameters), 3 << 16) + parameters)
        self._read_answer()

    def query(self, text: str) -> list[str]:
        data = text.encode() + b"\0"
        self._socket.sendall(b"Q" + struct.pack("!i", 4 + len(data)) + data)
        return self._read_answer()

    def _read_answer(self) -> list[str]:
        """The rows of all messages until the server is ready for a query."""
        rows: list[str] = []
        kind = b""
        while kind != b"Z":
            kind = self._stream.read(1)
            (length,) = struct.unpack("!i", self._stream.read(4))
            data = self._stream.read(length - 4)
            assert kind != b"E", data
            if kind == b"D":
                rows.append(data[6:].decode())
        return rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self._socket.close()


def test_a_session_with_postgres_outlives_a_change_of_networks(servers: Sandbox) -> None:
    port = find_free_port()
    servers.run("network", "create", "front")
    # its name comes before: ports may go by it
    servers.run("network", "create", "back")
    servers.run("run", "-d", "--name", "db", "--network", "front", "-p", f"127.0.0.1:{port}:5432", "postgres")
    servers.wait_for_words("db", "ready to accept connections")
    with _Postgres(port) as session:
        session.query("create table t (n int)")
        session.query("begin; insert into t values (1)")
        backend = session.query("select pg_backend_pid()")
        for number, change in enumerate(("connect", "disconnect", "connect"), start=2):
            servers.run("network", change, "back", "db")
            session.query(f"insert into t values ({number})")
            # and those that come now are served
            with _Postgres(port) as other:
                assert other.query("select count(*) from t") == ["0"]
        assert session.query("select pg_backend_pid()") == backend
        session.query("commit")
        assert session.query("select repeat('x', 20000000)") == ["x" * 20_000_000]
        with _Postgres(port) as other:
            assert other.query("select n from t order by n") == ["1", "2", "3", "4"]
