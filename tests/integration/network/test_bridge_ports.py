"""Published ports of containers on bridge networks, met from the host."""

from __future__ import annotations

import os
import resource
import signal
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.container.conftest import kill_monitor, monitor_pid
from tests.integration.network.echo_containers import HOST_PYTHON, ask_tcp, ask_udp, echo_server
from tests.integration.network.test_bridges import IDLE
from tests.needs import CONTAINER
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox", "ipv6"), pytest.mark.slow]

#: it tells who came by tcp
_SERVER = echo_server("80/tcp", "81/tcp", "53/udp")


@pytest.fixture
def port() -> int:
    return find_free_port()


@pytest.fixture
def web(sandbox: Sandbox, busybox: str, port: int, eventually: Callable[..., None]) -> str:
    """A container with tcp port 80 and udp port 53 published on all addresses, and 81 on any free port."""
    sandbox.run("network", "create", "front")
    ports = ("-p", f"{port}:80", "-p", f"{port}:53/udp", "-p", "81")
    sandbox.run("run", "-d", "--name", "web", "--network", "front", *ports, *HOST_PYTHON, busybox, *_SERVER)
    eventually(lambda: "up" in sandbox.run("logs", "web").stdout)
    return "web"


def forwarder_of(sandbox: Sandbox, name: str) -> int:
    """The process that carries the ports of a container."""
    monitor = monitor_pid(sandbox, name)
    children = Path(f"/proc/{monitor}/task/{monitor}/children").read_text().split()
    (found,) = (pid for pid in children if Path(f"/proc/{pid}/comm").read_text() == "sandbox-ports\n")
    return int(found)


def test_ports_of_all_addresses(sandbox: Sandbox, web: str, port: int) -> None:
    rows = sandbox.run("port", web).lines
    assert rows[:2] == [f"53/udp -> 0.0.0.0:{port}", f"53/udp -> [::]:{port}"]
    assert rows[2:4] == [f"80/tcp -> 0.0.0.0:{port}", f"80/tcp -> [::]:{port}"]
    # of a random port the number is that of both
    other = sandbox.run("port", web, "81").lines
    assert other == [f"0.0.0.0:{other[0].rpartition(':')[2]}", f"[::]:{other[0].rpartition(':')[2]}"]
    shown = sandbox.run("ps", "--format", "{{.Ports}}").stdout
    assert f"0.0.0.0:{port}->80/tcp, " in shown
    assert f"[::]:{port}->80/tcp" in shown
    bindings = sandbox.run("inspect", "-f", '{{json (index .NetworkSettings.Ports "80/tcp")}}', web).stdout
    assert bindings.strip() == f'[{{"HostIp":"0.0.0.0","HostPort":"{port}"}},{{"HostIp":"::","HostPort":"{port}"}}]'
    gateway = sandbox.run("inspect", "-f", "{{.NetworkSettings.Networks.front.Gateway}}", web).stdout.strip().encode()
    for address in ("127.0.0.1", "::1"):
        assert ask_tcp(address, port) == b"tcp from " + gateway
        assert ask_udp(address, port) == b"udp question"

    added = find_free_port()
    sandbox.run("port", "add", web, f"{added}:80")
    rows = [f"0.0.0.0:{number}" for number in sorted((port, added))]
    rows += [f"[::]:{number}" for number in sorted((port, added))]
    assert sandbox.run("port", web, "80").lines == rows
    sandbox.run("port", "rm", web, f"{added}:80")
    rows = sandbox.run("port", "add", web, f"[::1]:{added}:81").lines
    assert rows == [f"81/tcp -> [::1]:{added}"]
    assert ask_tcp("::1", added) == b"tcp from " + gateway
    sandbox.run("port", "rm", web, f"{port}:80")
    for address in ("127.0.0.1", "::1"):
        with pytest.raises(ConnectionRefusedError):
            ask_tcp(address, port)
    assert ask_udp("::1", port) == b"udp question"
    sandbox.run("restart", "-t0", web)
    rows = sandbox.run("port", web).lines
    assert [row for row in rows if row.startswith(("80/", "53/"))] == [
        f"53/udp -> 0.0.0.0:{port}", f"53/udp -> [::]:{port}",
    ]  # fmt: skip
    assert f"81/tcp -> [::1]:{added}" in rows


def test_a_killed_forwarder_is_replaced(sandbox: Sandbox, web: str, port: int) -> None:
    before = ask_tcp("127.0.0.1", port)
    for _ in range(2):
        # one that has connections does not end by itself
        with socket.create_connection(("127.0.0.1", port), timeout=20) as held:
            assert held.recv(100) == before
            os.kill(forwarder_of(sandbox, web), signal.SIGKILL)
            # the listening socket is the monitor's too: nobody is refused
            assert ask_tcp("127.0.0.1", port) == before


@pytest.mark.parametrize("driver", [(), ("--port-driver", "slirp4netns")], ids=["own", "slirp4netns"])
def test_ports_follow_the_networks_that_lead_out(
    sandbox: Sandbox, busybox: str, port: int, driver: tuple[str, ...], eventually: Callable[..., None]
) -> None:
    """Of a container on internal networks alone nothing is bound; `network connect` and `disconnect` change that."""
    sandbox.run("network", "create", "--internal", "inner")
    sandbox.run("network", "create", "outer")
    sandbox.run(
        *("run", "-d", "--name", "web", "--network", "inner", "-p", f"127.0.0.1:{port}:80", *driver),
        *(*HOST_PYTHON, busybox, *echo_server("80/tcp")),
    )
    eventually(lambda: "up" in sandbox.run("logs", "web").stdout)
    assert sandbox.run("port", "web").lines == []
    with socket.create_server(("127.0.0.1", port)):
        told = sandbox.run("network", "connect", "outer", "web", status=1).stderr
        assert f"port is already allocated: 127.0.0.1:{port}/tcp" in told
    # and nothing half-made is left of that
    networks = ("inspect", "-f", "{{range $name, $it := .NetworkSettings.Networks}}{{$name}} {{end}}", "web")
    assert sandbox.run(*networks).stdout.split() == ["inner"]
    assert sandbox.run("network", "inspect", "-f", "{{len .Containers}}", "outer").lines == ["0"]
    eventually(lambda: "eth1" not in sandbox.run("exec", "web", "cat", "/proc/net/dev").stdout)
    for _ in range(2):
        sandbox.run("network", "connect", "outer", "web")
        assert sandbox.run("port", "web").lines == [f"80/tcp -> 127.0.0.1:{port}"]
        assert ask_tcp("127.0.0.1", port).startswith(b"tcp from ")
        sandbox.run("network", "disconnect", "outer", "web")
        assert sandbox.run("port", "web").lines == []
        with socket.create_server(("127.0.0.1", port)):
            pass
    told = sandbox.run("port", "add", "web", f"127.0.0.1:{port}:81", status=1).stderr
    assert "it is on internal networks alone" in told
    # what is to be published was never forgotten
    bindings = sandbox.run("inspect", "-f", "{{json .HostConfig.PortBindings}}", "web").stdout.strip()
    assert bindings == f'{{"80/tcp":[{{"HostIp":"127.0.0.1","HostPort":"{port}"}}]}}'
    # but where somebody says so
    sandbox.run("port", "rm", "web", "80")
    sandbox.run("network", "connect", "outer", "web")
    assert sandbox.run("port", "web").lines == []


#: takes connections on port 80, prints how many are open when that is as many as it is told, and answers each with what
#: it says
_HOLD = """
import resource, select, socket, sys
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
listener = socket.create_server(("0.0.0.0", 80), backlog=4096)
waiting, open_ones = select.epoll(), {}
waiting.register(listener, select.EPOLLIN)
print("up", flush=True)
while True:
    for fd, _ in waiting.poll():
        if fd == listener.fileno():
            peer, _ = listener.accept()
            open_ones[peer.fileno()] = peer
            waiting.register(peer, select.EPOLLIN)
            if len(open_ones) == int(sys.argv[1]):
                print("all", len(open_ones), flush=True)
        else:
            data = open_ones[fd].recv(100)
            if not data:
                print("lost one", flush=True)
                del open_ones[fd]
            else:
                open_ones[fd].sendall(data)
"""


@pytest.mark.long
def test_thousands_of_idle_connections_stay_open_and_answer(sandbox: Sandbox, busybox: str, port: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # the forwarder has two of each, and this process one
    count = min(9900, hard // 2 - 100)
    sandbox.run(
        *("run", "-d", "--name", "web", "-p", f"127.0.0.1:{port}:80", "--ulimit", f"nofile={hard}:{hard}"),
        *(*HOST_PYTHON, busybox, "/usr/bin/python3", "-c", _HOLD, str(count)),
    )
    sandbox.wait_for_log("web", "up")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with ExitStack() as open_ones:
            clients = [
                open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60)) for _ in range(count)
            ]
            sandbox.wait_for_log("web", f"all {count}")
            # told by `pytest -rP`; tests/net/test_forward.py holds it against a limit
            print(f"the forwarder of {count} connections takes {_pss_kib(forwarder_of(sandbox, 'web'))} KiB")
            # each is asked before any is answered: none has another's answer
            for number, client in enumerate(clients):
                client.sendall(f"{number:05}".encode())
            for number, client in enumerate(clients):
                assert client.recv(100) == f"{number:05}".encode()
            assert "lost" not in sandbox.run("logs", "web").stdout
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _pss_kib(pid: int) -> int:
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    (found,) = (row.split()[1] for row in rows if row.startswith("Pss:"))
    return int(found)


def test_a_taken_port_is_told_with_its_holder(sandbox: Sandbox, busybox: str, port: int) -> None:
    sandbox.run("network", "create", "front")
    options = ("-d", "--network", "front", "-p")
    sandbox.run("run", "--name", "first", *options, f"{port}:80", busybox, "sleep", "1000")
    for publish, place, mend in (
        (f"{port}:80", f"0.0.0.0:{port}", "-p "),
        (f"[::1]:{port}:80", f"[::1]:{port}", "-p [::1]:"),
        (f"127.0.0.1:{port}:80", f"127.0.0.1:{port}", "-p 127.0.0.1:"),
    ):
        told = sandbox.run("run", "--name", "other", *options, publish, busybox, "true", status=125).stderr
        assert f"cannot start container other: port is already allocated: {place}/tcp" in told
        assert "container first publishes it" in told
        assert mend in told
        sandbox.run("rm", "-f", "other", status=None)
    sandbox.run("rm", "-f", "first")
    # and nothing of it stays bound
    with socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", port))


def test_slirp4netns_forwards_the_ports_itself(
    sandbox: Sandbox, busybox: str, port: int, eventually: Callable[..., None]
) -> None:
    added = find_free_port()
    for name in ("one", "two"):
        sandbox.run("network", "create", name)
    driver = ("--port-driver", "slirp4netns", "-p", f"{port}:80", "-p", f"{port}:53/udp")
    sandbox.run("run", "-d", "--name", "web", "--network", "one", *driver, *HOST_PYTHON, busybox, *_SERVER)
    eventually(lambda: "up" in sandbox.run("logs", "web").stdout)
    assert sandbox.run("port", "web").lines == [f"53/udp -> 0.0.0.0:{port}", f"80/tcp -> 0.0.0.0:{port}"]
    assert sandbox.run("port", "add", "web", f"127.0.0.1:{added}:81").lines == [f"81/tcp -> 127.0.0.1:{added}"]
    sandbox.run("network", "connect", "two", "web")
    sandbox.run("network", "disconnect", "one", "web")
    # the ports follow the container; the keeper leads them to its new address
    eventually(lambda: _answer(port) == _answer(added) == b"tcp from 10.0.2.2")
    assert ask_udp("127.0.0.1", port) == b"udp question"
    told = sandbox.run("run", "-p", f"{port}:80", busybox, "true", status=125).stderr
    assert f"port is already allocated: 0.0.0.0:{port}/tcp" in told
    assert "container web publishes it" in told
    sandbox.run("port", "rm", "web", f"{port}:80")
    assert _answer(port) == b""
    sandbox.run("stop", "-t0", "web")
    socket.create_server(("127.0.0.1", added)).close()
    sandbox.run("start", "web")
    eventually(lambda: _answer(added) == b"tcp from 10.0.2.2")
    # where the monitor is killed the keeper closes them
    kill_monitor(sandbox, "web")
    eventually(lambda: _answer(added) == b"")


@pytest.mark.parametrize("driver", [(), ("--port-driver", "slirp4netns")], ids=["own", "slirp4netns"])
def test_a_network_says_where_its_ports_are_bound(
    sandbox: Sandbox, busybox: str, port: int, driver: tuple[str, ...]
) -> None:
    other, added = find_free_port(), find_free_port()
    sandbox.run("network", "create", "-o", "com.docker.network.bridge.host_binding_ipv4=127.0.0.2", "near")
    ports = ("-p", f"{port}:80", "-p", f"127.0.0.1:{other}:81")
    sandbox.run("run", "-d", "--name", "web", "--network", "near", *driver, *ports, busybox, *IDLE)
    at_start = [f"80/tcp -> 127.0.0.2:{port}", f"81/tcp -> 127.0.0.1:{other}"]
    assert sandbox.run("port", "web").lines == at_start
    # of what comes while it runs as well
    assert sandbox.run("port", "add", "web", f"{added}:82").lines == [f"82/tcp -> 127.0.0.2:{added}"]
    socket.create_connection(("127.0.0.2", added)).close()
    socket.create_server(("127.0.0.1", added)).close()
    sandbox.run("port", "rm", "web", f"{added}:82")
    assert sandbox.run("port", "web").lines == at_start


def _answer(port: int) -> bytes:
    """What comes from a port of the host; nothing where nobody listens."""
    try:
        return ask_tcp("127.0.0.1", port)
    except OSError:
        return b""
