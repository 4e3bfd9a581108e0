"""Published ports of containers with a slirp4netns of their own, met from the host."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from tests.integration.network.echo_containers import HOST_PYTHON, ask_tcp, ask_udp, echo_server
from tests.needs import CONTAINER
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox"), pytest.mark.slow]


@pytest.fixture
def port() -> int:
    return find_free_port()


def test_ports_answer_on_the_loopback(
    sandbox: Sandbox, busybox: str, port: int, eventually: Callable[..., None]
) -> None:
    options = ("-p", f"{port}:53/udp", "-p", f"127.0.0.1:{port}:80", *HOST_PYTHON, "--network", "slirp4netns")
    sandbox.run("run", "-d", "--name", "dns", *options, busybox, *echo_server("53/udp", "54/udp", "80/tcp"))
    eventually(lambda: "up" in sandbox.run("logs", "dns").stdout)
    assert ask_udp("127.0.0.1", port) == b"udp question"
    assert ask_tcp("127.0.0.1", port).startswith(b"tcp from ")

    # a udp port that is added answers beside the first
    added = find_free_port()
    assert sandbox.run("port", "add", "dns", f"{added}:54/udp").lines == [f"54/udp -> 0.0.0.0:{added}"]
    for one in (port, added):
        assert ask_udp("127.0.0.1", one) == b"udp question"
    sandbox.run("port", "rm", "dns", "53/udp")
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.bind(("0.0.0.0", port))
    assert ask_udp("127.0.0.1", added) == b"udp question"


@pytest.mark.parametrize(
    ("publish", "words"),
    [
        ("{taken}:80", "port is already allocated"),
        ("http:80", "invalid hostPort: http"),
        ("8080:80/sctp", "sctp"),
        ("[::1]:8080:80", "IPv6"),
        ("8080:80,proxy-protocol", "PROXY protocol"),
        ("192.0.2.7:8080:80", "not an address of this machine"),
    ],
)
def test_port_that_cannot_be_published(sandbox: Sandbox, busybox: str, publish: str, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        text = publish.format(taken=listener.getsockname()[1])
        options = ("--rm", "--network", "slirp4netns", "-p", text)
        done = sandbox.run("run", *options, busybox, "/bin/true", status=125)
    assert words in done.stderr
    assert done.stdout == ""
