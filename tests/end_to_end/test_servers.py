"""Real servers of a real distribution in containers, real clients outside."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.conftest import fetch
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

pytestmark = [
    pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "registry", "skopeo", "umoci", "mmdebstrap"),
    pytest.mark.slow,
]


@pytest.fixture
def port(free_port: Callable[[], int]) -> int:
    return free_port()


def test_python_serves_files(sandbox: Sandbox, debian: str, port: int) -> None:
    sandbox.run("run", "-d", "-p", f"127.0.0.1:{port}:8000", "-w", "/srv/www", debian, "python3", "/srv/app/serve.py")
    wait_for_port(port)
    assert fetch(port) == "<h1>served from a container</h1>\n"


def test_nginx_serves_files_as_its_own_user(sandbox: Sandbox, debian: str, port: int) -> None:
    configuration = sandbox.home.root / "site"
    configuration.write_text("server { listen 80; root /srv/www; }\n")
    sandbox.run(
        "run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80",
        "-v", f"{configuration}:/etc/nginx/sites-enabled/default:ro", debian, "nginx", "-g", "daemon off;",
    )  # fmt: skip
    wait_for_port(port)
    assert fetch(port) == "<h1>served from a container</h1>\n"
    workers = sandbox.run("exec", "web", "sh", "-c", "cat /proc/[0-9]*/status | grep ^Uid: | sort -u").stdout
    assert "\t33\t" in workers


def test_redis_keeps_a_value(sandbox: Sandbox, debian: str, port: int) -> None:
    sandbox.run(
        "run", "-d", "--name", "cache", "-p", f"127.0.0.1:{port}:6379", debian,
        "redis-server", "--bind", "0.0.0.0", "--protected-mode", "no",
    )  # fmt: skip
    wait_for_port(port)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(b"SET name value\r\nGET name\r\n")
        answer = b""
        while not answer.endswith(b"value\r\n"):
            received = client.recv(100)
            assert received, answer
            answer += received
    assert answer == b"+OK\r\n$5\r\nvalue\r\n"
    assert sandbox.run("exec", "cache", "redis-cli", "get", "name").lines == ["value"]


def test_what_upper_layers_change_is_seen(sandbox: Sandbox, debian: str) -> None:
    script = "cat /etc/replaced; ls /opt/old; test ! -e /etc/removed; python3 -c 'import ssl, sqlite3; print(1)'"
    done = sandbox.run("run", "--rm", "--network", "none", debian, "sh", "-c", script)
    assert done.lines == ["new", "fresh", "1"]


def wait_for_port(port: int) -> None:
    """Until the server in the container answers: the forwarded port is open before it is, and closes at once."""
    for _ in range(2000):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as probe:
                # a server waits for a request; a forwarder with nobody behind it closes
                probe.settimeout(0.1)
                try:
                    if probe.recv(1):
                        return
                except TimeoutError:
                    return
        except OSError:
            continue
    raise AssertionError(f"nothing answers on port {port}")
