"""Real servers of a real distribution in containers, real clients outside."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.conftest import fetch, shared_store
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.command import Home, Sandbox
    from tests.conftest import FilledHome

pytestmark = [
    pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "registry", "skopeo", "umoci", "mmdebstrap"),
    pytest.mark.slow,
    # the first one waits until the servers are fetched and made into an image
    pytest.mark.timeout(900),
]


@pytest.fixture(scope="module")
def debian_home(filled_home: FilledHome, debian_image: str) -> Iterator[Home]:
    """A home with the Debian tree, with Python, nginx and redis: twenty thousand files, unpacked and removed once."""

    def fill(sandbox: Sandbox) -> None:
        sandbox.run("pull", "-q", debian_image)
        sandbox.run("tag", debian_image, "debian")

    with filled_home(fill) as home:
        yield home


@pytest.fixture
def servers(debian_home: Home) -> Iterator[Sandbox]:
    with shared_store(debian_home) as command:
        yield command


@pytest.fixture
def port(free_port: Callable[[], int]) -> int:
    return free_port()


def test_python_serves_files(servers: Sandbox, port: int) -> None:
    servers.run("run", "-d", "-p", f"127.0.0.1:{port}:8000", "-w", "/srv/www", "debian", "python3", "/srv/app/serve.py")
    assert fetch(port) == "<h1>served from a container</h1>\n"


def test_nginx_serves_files_as_its_own_user(servers: Sandbox, port: int) -> None:
    configuration = servers.home.root / "site"
    configuration.write_text("server { listen 80; root /srv/www; }\n")
    servers.run(
        "run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80",
        "-v", f"{configuration}:/etc/nginx/sites-enabled/default:ro", "debian", "nginx", "-g", "daemon off;",
    )  # fmt: skip
    assert fetch(port) == "<h1>served from a container</h1>\n"
    workers = servers.run("exec", "web", "sh", "-c", "cat /proc/[0-9]*/status | grep ^Uid: | sort -u").stdout
    assert "\t33\t" in workers


def test_redis_keeps_a_value(servers: Sandbox, port: int) -> None:
    servers.run(
        "run", "-d", "--name", "cache", "-p", f"127.0.0.1:{port}:6379", "debian",
        "redis-server", "--bind", "0.0.0.0", "--protected-mode", "no",
    )  # fmt: skip
    assert _ask_redis(port) == b"+OK\r\n$5\r\nvalue\r\n"
    assert servers.run("exec", "cache", "redis-cli", "get", "name").lines == ["value"]


def test_what_upper_layers_change_is_seen(servers: Sandbox) -> None:
    script = "cat /etc/replaced; ls /opt/old; test ! -e /etc/removed; python3 -c 'import ssl, sqlite3; print(1)'"
    done = servers.run("run", "--rm", "--network", "none", "debian", "sh", "-c", script)
    assert done.lines == ["new", "fresh", "1"]


def _ask_redis(port: int) -> bytes:
    """The answers to a SET and a GET; asked again while nobody answers, as `fetch` does."""
    deadline = time.monotonic() + 60
    while True:
        answer = b""
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
                client.sendall(b"SET name value\r\nGET name\r\n")
                while not answer.endswith(b"value\r\n") and (received := client.recv(100)):
                    answer += received
        except ConnectionError:
            pass
        if answer or time.monotonic() > deadline:
            return answer
