"""A container's own network by pasta, over its life."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from net.host_ports import outgoing_address
from tests.integration.container.conftest import monitor_pid
from tests.integration.network.echo_containers import HOST_PYTHON, ask_tcp, echo_server
from tests.needs import CONTAINER
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires(*CONTAINER, "pasta", "tap", "busybox"), pytest.mark.slow]

_CONNECT = ("/usr/bin/python3", "-c", """
import socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
""")  # fmt: skip


def _pasta_of(sandbox: Sandbox, name: str) -> int:
    monitor = monitor_pid(sandbox, name)
    children = Path(f"/proc/{monitor}/task/{monitor}/children").read_text().split()
    # it executes one that is made for this machine's processor
    (found,) = (pid for pid in children if Path(f"/proc/{pid}/comm").read_text().startswith(("pasta", "passt")))
    return int(found)


def test_it_leads_out_and_is_started_again_and_ports_come_and_go(
    sandbox: Sandbox, busybox: str, eventually: Callable[..., None]
) -> None:
    host, port, added = outgoing_address(), find_free_port(), find_free_port()
    assert host is not None
    options = ("-d", "--name", "web", "--network", "pasta", "-p", f"{port}:80", *HOST_PYTHON)
    sandbox.run("run", *options, busybox, *echo_server("80/tcp", "81/tcp"))
    eventually(lambda: "up" in sandbox.run("logs", "web").stdout)
    assert sandbox.run("inspect", "-f", "{{.HostConfig.NetworkMode}}", "web").stdout.strip() == "pasta"
    assert ask_tcp("127.0.0.1", port) == b"tcp from 10.0.2.100"
    sandbox.run("port", "add", "web", f"127.0.0.1:{added}:81")
    assert ask_tcp("127.0.0.1", added) == b"tcp from 10.0.2.100"
    sandbox.run("port", "rm", "web", f"{port}:80")
    with pytest.raises(ConnectionRefusedError):
        ask_tcp("127.0.0.1", port)
    with socket.create_server((host, 0)) as server, socket.create_server(("127.0.0.1", 0)) as hidden:

        def gets_to(address: str, listening: socket.socket, patience: str) -> bool:
            words = (*_CONNECT, address, str(listening.getsockname()[1]), patience)
            return sandbox.run("exec", "web", *words, status=None).status == 0

        assert gets_to(host, server, "60")
        # the gateway is not this machine's loopback
        assert not gets_to("10.0.2.2", hidden, "1")
        killed = _pasta_of(sandbox, "web")
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: gets_to(host, server, "60"))
    assert _pasta_of(sandbox, "web") != killed
    assert ask_tcp("127.0.0.1", added) == b"tcp from 10.0.2.100"
    refused = sandbox.run("network", "connect", "bridge", "web", status=1).stderr
    assert "it has a network of its own behind pasta" in refused
