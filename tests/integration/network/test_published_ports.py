"""Published ports of real containers, met from the host."""

from __future__ import annotations

import signal
import socket
from typing import TYPE_CHECKING

import pytest

from tests.needs import CONTAINER
from tests.net.private_network import ECHO_SERVER
from tests.ports import find_free_port

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = [
    pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "registry", "skopeo", "umoci", "mmdebstrap"),
    pytest.mark.slow,
]


@pytest.fixture
def port() -> int:
    return find_free_port()


def test_ports_answer_on_the_loopback(sandbox: Sandbox, debian_image: str, port: int) -> None:
    sandbox.run("pull", "-q", debian_image)
    server = sandbox.spawn(
        *("run", "--rm", "-p", f"{port}:53/udp", "-p", f"127.0.0.1:{port}:80", debian_image),
        *("python3", "-c", ECHO_SERVER, "53/udp", "80/tcp"),
        stderr=None,
    )
    with server, socket.socket(type=socket.SOCK_DGRAM) as client:
        assert server.stdout is not None
        assert server.stdout.readline() == b"up\n"
        client.settimeout(20)
        client.sendto(b"question", ("127.0.0.1", port))
        assert client.recv(100) == b"udp question"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            assert connection.makefile("rb").read().startswith(b"tcp from ")
        server.send_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("publish", "words"),
    [
        ("{taken}:80", "port is already allocated"),
        ("http:80", "invalid hostPort: http"),
        ("8080:80/sctp", "sctp"),
        ("[::1]:8080:80", "IPv6"),
        ("192.0.2.7:8080:80", "not an address of this machine"),
    ],
)
def test_port_that_cannot_be_published(sandbox: Sandbox, busybox_image: str, publish: str, words: str) -> None:
    sandbox.run("pull", "-q", busybox_image)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        text = publish.format(taken=listener.getsockname()[1])
        done = sandbox.run("run", "--rm", "-p", text, busybox_image, "/bin/true", status=125)
    assert words in done.stderr
    assert done.stdout == ""


def test_a_udp_port_that_is_added_answers_on_the_loopback_beside_the_first(
    sandbox: Sandbox, debian_image: str, port: int
) -> None:
    sandbox.run("pull", "-q", debian_image)
    added = find_free_port()
    server = sandbox.spawn(
        *("run", "--rm", "--name", "dns", "-p", f"{port}:53/udp", debian_image),
        *("python3", "-c", ECHO_SERVER, "53/udp", "54/udp"),
        stderr=None,
    )
    with server, socket.socket(type=socket.SOCK_DGRAM) as client:
        assert server.stdout is not None
        assert server.stdout.readline() == b"up\n"
        client.settimeout(20)
        assert sandbox.run("port", "add", "dns", f"{added}:54/udp").lines == [f"54/udp -> 0.0.0.0:{added}"]
        for one in (port, added):
            client.sendto(b"question", ("127.0.0.1", one))
            assert b"question" in client.recv(100)
        sandbox.run("port", "rm", "dns", "53/udp")
        with socket.socket(type=socket.SOCK_DGRAM) as other:
            other.bind(("0.0.0.0", port))
        client.sendto(b"question", ("127.0.0.1", added))
        assert b"question" in client.recv(100)
        sandbox.run("kill", "dns")
