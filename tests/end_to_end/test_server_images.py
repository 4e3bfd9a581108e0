"""Images of servers as they are made for others: an entry point that begins as root and becomes another user."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.command import Home, Sandbox
from tests.end_to_end.conftest import fetch, shared_store
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [
    pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "umoci", "mmdebstrap"),
    pytest.mark.slow,
    # the first one waits until PostgreSQL, Redis and nginx are fetched and made into images
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def loaded(request: pytest.FixtureRequest, servers_layout: Path) -> Iterator[Home]:
    """A home with the three images, for all tests of this module: they share one large layer."""
    home = Home.make(request.config.getoption("--storage-driver"))
    Sandbox(home).load_layout(servers_layout)
    yield home
    home.remove()


@pytest.fixture
def servers(loaded: Home) -> Iterator[Sandbox]:
    with shared_store(loaded) as command:
        yield command


def _users(sandbox: Sandbox, name: str) -> list[str]:
    """The users of all processes: the images have no ps."""
    return sandbox.run("exec", name, "sh", "-c", "stat -c %U /proc/[0-9]* 2>/dev/null | sort -u").lines


def _exit_code(sandbox: Sandbox, name: str) -> str:
    return sandbox.run("inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", name).stdout.strip()


def test_postgres(servers: Sandbox) -> None:
    servers.run("run", "-d", "--name", "db", "--network", "none", "-v", "data:/var/lib/postgresql/data", "postgres")
    client = (
        "run", "--rm", "--network", "container:db", "--entrypoint", "psql", "postgres",
        "-h", "127.0.0.1", "-U", "postgres",
    )  # fmt: skip
    query = ("exec", "-u", "postgres", "db", "psql", "-tAc", "table t")
    servers.wait_for_words("db", "ready to accept connections")
    assert servers.run(*client, "-qtAc", "create table t as select 41 + 1 as n; select n from t").lines == ["42"]
    # exec knows the image's user, not the one that the entry point has become
    assert servers.run("exec", "db", "id", "-un").lines == ["root"]
    assert servers.run(*query).lines == ["42"]
    assert _users(servers, "db") == ["postgres", "root"]
    servers.run("kill", "-s", "HUP", "db")
    servers.wait_for_words("db", "received SIGHUP")
    # SIGINT, the image's own stop signal, ends connections and is orderly; SIGTERM would wait for the clients
    servers.run("stop", "db")
    assert _exit_code(servers, "db") == "exited 0"
    assert servers.run("logs", "--tail", "1", "db").stderr.endswith("LOG:  database system is shut down\n")
    servers.run("restart", "db")
    servers.wait_for_words("db", "ready to accept connections", times=2)
    assert servers.run(*query).lines == ["42"]


def test_postgres_that_is_never_root(servers: Sandbox) -> None:
    """As `--user` says, and with what hardened set-ups add."""
    servers.run(
        "run", "-d", "--name", "db", "-u", "postgres", "--network", "none", "--cap-drop", "ALL", "--read-only",
        "--security-opt", "no-new-privileges", "--tmpfs", "/run/postgresql:mode=1777", "--tmpfs", "/tmp",
        "-v", "own:/var/lib/postgresql/data", "-e", "PGDATA=/var/lib/postgresql/data/db", "postgres",
    )  # fmt: skip
    servers.wait_for_words("db", "ready to accept connections")
    assert servers.run("exec", "db", "psql", "-tAc", "select current_user").lines == ["postgres"]
    assert servers.run("exec", "-u", "0", "db", "id", "-un").lines == ["root"]
    servers.run("stop", "db")
    assert _exit_code(servers, "db") == "exited 0"


def test_redis(servers: Sandbox, free_port: Callable[[], int]) -> None:
    port = free_port()
    servers.run("run", "-d", "--name", "cache", "-p", f"127.0.0.1:{port}:6379", "redis")
    servers.wait_for_words("cache", "Ready to accept connections")
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"SET name value\r\n")
        assert client.recv(100) == b"+OK\r\n"
    assert servers.run("exec", "cache", "redis-cli", "get", "name").lines == ["value"]
    assert _users(servers, "cache") == ["redis", "root"]
    assert servers.run("exec", "cache", "stat", "-c", "%U", ".").lines == ["redis"]
    # it saves what it has when it is told to end, and has it again
    servers.run("stop", "cache")
    assert _exit_code(servers, "cache") == "exited 0"
    servers.run("start", "cache")
    servers.wait_for_words("cache", "Ready to accept connections", times=2)
    assert servers.run("exec", "cache", "redis-cli", "get", "name").lines == ["value"]


def test_nginx(servers: Sandbox, free_port: Callable[[], int]) -> None:
    port = free_port()
    servers.run("run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80", "nginx")
    assert fetch(port) == "<h1>served from a container</h1>\n"
    # its log is a link to /dev/stdout, opened by the master; errors, to /dev/stderr
    servers.wait_for_words("web", '"GET / HTTP/1.1" 200')
    assert _users(servers, "web") == ["root", "www-data"]
    servers.run("exec", "web", "nginx", "-s", "reload")
    assert fetch(port) == "<h1>served from a container</h1>\n"
    servers.run("exec", "-u", "www-data", "web", "sh", "-c", "echo from exec >/dev/stdout")
    servers.run("stop", "web")
    assert _exit_code(servers, "web") == "exited 0"
