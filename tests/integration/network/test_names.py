"""Names of containers, and rules of what they reach, in containers."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.container.conftest import monitor_pid
from tests.integration.network.echo_containers import HOST_PYTHON
from tests.integration.network.test_bridges import IDLE, address, start
from tests.needs import CONTAINER
from tests.net.interface_addresses import list_addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.command import Sandbox

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox"), pytest.mark.slow]


@pytest.fixture
def front(sandbox: Sandbox, busybox: str) -> str:
    """A network `front`; the name of an image."""
    sandbox.run("network", "create", "--subnet", "172.30.1.0/24", "front")
    return busybox


@pytest.fixture
def served() -> Iterator[tuple[str, int]]:
    """An address of this host that is not its loopback, and a port of it that takes connections."""
    host = next(one.address for one in list_addresses() if one.interface != "lo" and ":" not in one.address)
    with socket.create_server((host, 0)) as server:
        yield server.getsockname()


def _answers(sandbox: Sandbox, asker: str, name: str) -> list[str]:
    """The addresses, or the name of an address, that the container's own name server gives."""
    shown = sandbox.run("exec", asker, "busybox", "nslookup", name, status=None).stdout
    return sorted(line.split()[-1] for line in shown.splitlines()[2:] if "Address" in line or "name = " in line)


def _connects(sandbox: Sandbox, name: str, place: tuple[str, int]) -> bool:
    command = ("exec", name, "busybox", "nc", "-w", "5", place[0], str(place[1]), "-e", "true")
    return sandbox.run(*command, status=None).status == 0


def test_containers_find_each_other_by_every_name_they_have(
    sandbox: Sandbox, front: str, eventually: Callable[[Callable[[], object]], None]
) -> None:
    start(sandbox, "web", front, "--network", "front", "--network-alias", "api", "--hostname", "shop")
    start(sandbox, "db", front, "--network", "front", "--network-alias", "api")
    # one with rules is on the network `bridge`
    start(sandbox, "apart", front, "--egress", "deny")
    web, db = address(sandbox, "web"), address(sandbox, "db")
    short_id = sandbox.run("ps", "-q", "-f", "name=web").lines[0]
    for name in ("web", "web.front", "WEB", short_id, "shop"):
        assert _answers(sandbox, "db", name) == [web], name
    assert _answers(sandbox, "db", "api") == sorted([web, db])
    assert _answers(sandbox, "web", db) == ["db.front"]
    assert _answers(sandbox, "apart", "web") == []
    # on the default network too, by the gateway
    assert _answers(sandbox, "apart", "apart") == [address(sandbox, "apart")]
    sandbox.run("rm", "-f", "web")
    eventually(lambda: _answers(sandbox, "db", "api") == [db])


@pytest.mark.requires("dig")
def test_programs_of_bind_are_content_with_the_answers(sandbox: Sandbox, front: str) -> None:
    """`host` asks for A, AAAA and MX, by udp and by tcp, and complains of each answer that is not well-formed."""
    sandbox.run("network", "create", "--ipv6", "--subnet", "172.30.2.0/24", "--subnet", "fd00:62::/64", "both")
    start(sandbox, "web", front, "--network", "both", "--network-alias", "api")
    start(sandbox, "db", front, "--network", "both", "--network-alias", "api")
    web = ["web has address 172.30.2.2", "web has IPv6 address fd00:62::2"]
    asked: list[tuple[str, list[str]]] = [
        ("host web", web),
        ("host -T web", web),
        ("host -t MX web", ["web has no MX record"]),
        ("host 172.30.2.2", ["2.2.30.172.in-addr.arpa domain name pointer web.both."]),
        ("host -t AAAA db.both", ["db.both has IPv6 address fd00:62::3"]),
        ("host nobody.both", ["Host nobody.both not found: 3(NXDOMAIN)"]),
        ("dig +short api A | sort", ["172.30.2.2", "172.30.2.3"]),
        ("dig +short +tcp +dnssec web AAAA", ["fd00:62::2"]),
        ("dig +short -x fd00:62::2", ["web.both."]),
    ]
    script = "; echo --; ".join(command for command, _ in asked)
    told = sandbox.run("run", "--rm", "--network", "both", *HOST_PYTHON, front, "sh", "-c", script, status=None)
    assert told.stderr == ""
    assert told.stdout.split("--\n") == ["".join(f"{line}\n" for line in lines) for _, lines in asked]


def test_a_container_reaches_what_its_rules_allow(
    sandbox: Sandbox, front: str, served: tuple[str, int], eventually: Callable[[Callable[[], object]], None]
) -> None:
    host, port = served
    sandbox.run("network", "create", "--subnet", "172.30.2.0/24", "--egress", f"allow={host}:*", "held")
    start(sandbox, "free", front, "--network", "front")
    start(sandbox, "none", front, "--network", "front", "--egress", "deny")
    start(sandbox, "some", front, "--network", "front", "--egress", f"allow=a.example,{host}:{port}")
    start(sandbox, "both", front, "--network", "held", "--egress", f"allow={host}:{port + 1}")
    assert [_connects(sandbox, name, served) for name in ("free", "none", "some", "both")] == [True, False, True, False]
    # it reaches those of its network all the same
    assert _answers(sandbox, "none", "free") == [address(sandbox, "free")]
    assert sandbox.run("exec", "none", "busybox", "ping", "-c1", "-W5", "free").status == 0
    assert _answers(sandbox, "none", "b.example") == []

    expected = {f"egress refused: {host}:{port}/tcp", "egress refused: b.example"}
    eventually(lambda: expected <= set(sandbox.run("logs", "--network", "none").lines))
    events = sandbox.run("events", "--since", "10m", "--until", "0s", "-f", "event=egress_refused", "--format", "json")
    told = [json.loads(line)["Actor"]["Attributes"] for line in events.lines]
    assert {(one["name"], one["destination"]) for one in told} >= {
        ("none", "b.example"),
        ("both", f"{host}:{port}/tcp"),
    }
    # a network with rules holds whoever joins it
    sandbox.run("network", "connect", "held", "some")
    assert _connects(sandbox, "some", served)
    sandbox.run("network", "create", "--egress", "deny", "closed")
    sandbox.run("network", "connect", "closed", "some")
    assert not _connects(sandbox, "some", served)
    assert sandbox.run("inspect", "-f", "{{json .HostConfig.Egress}}", "none").lines == ['["deny"]']


def test_rules_that_cannot_be_held_are_refused(sandbox: Sandbox, front: str) -> None:
    done = sandbox.run("run", "--rm", "--egress", "allow=a b", front, *IDLE, status=125)
    assert "invalid egress rule" in done.stderr
    done = sandbox.run("run", "--rm", "--network", "host", "--egress", "deny", front, *IDLE, status=125)
    assert "conflicting options: egress rules and the network mode host" in done.stderr


def _carriers(monitor: int) -> list[int]:
    """The monitor's processes that carry connections."""
    children = Path(f"/proc/{monitor}/task/{monitor}/children").read_text().split()
    return [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text() == "sandbox-ports\n"]


def test_ports_of_the_hosts_loopback_are_reached_where_asked_for(sandbox: Sandbox, front: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        port = server.getsockname()[1]
        start(sandbox, "let", front, "--network", "front", "--host-port", str(port), "--egress", "deny")
        start(sandbox, "apart", front, "--network", "front", "--egress", "deny")
        for name in ("host.sandbox.internal", "host.docker.internal"):
            assert _connects(sandbox, "let", (name, port))
            peer, address = server.accept()
            peer.close()
            assert address[0] == "127.0.0.1"
        assert not _connects(sandbox, "let", ("host.docker.internal", other.getsockname()[1]))
        assert not _connects(sandbox, "apart", ("host.docker.internal", port))
        shown = sandbox.run("inspect", "-f", "{{json .HostConfig.HostPorts}}", "let").lines
        assert shown == [f"[{port}]"]
        # who carries them is started again; who comes meanwhile waits
        for carrier in _carriers(monitor_pid(sandbox, "let")):
            os.kill(carrier, signal.SIGKILL)
        assert _connects(sandbox, "let", ("host.docker.internal", port))
        sandbox.run("restart", "-t", "0", "let")
        assert _connects(sandbox, "let", ("host.docker.internal", port))


def test_what_is_no_port_of_the_host_is_refused(sandbox: Sandbox, front: str) -> None:
    done = sandbox.run("run", "--rm", "--host-port", "0", front, *IDLE, status=125)
    assert "invalid host port: 0" in done.stderr


def test_a_link_is_a_line_of_the_hosts_file_that_follows_the_other(sandbox: Sandbox, busybox: str) -> None:
    start(sandbox, "db", busybox)
    start(sandbox, "web", busybox, "--link", "db:store")
    short = sandbox.run("inspect", "-f", "{{.Config.Hostname}}", "db").stdout.strip()

    def linked() -> list[str]:
        return [line for line in sandbox.run("exec", "web", "cat", "/etc/hosts").lines if "store" in line]

    first = address(sandbox, "db")
    assert linked() == [f"{first}\tstore {short} db"]
    sandbox.run("restart", "-t", "0", "db")
    second = address(sandbox, "db")
    assert second != first
    assert linked() == [f"{second}\tstore {short} db"]
    sandbox.run("network", "disconnect", "bridge", "db")
    assert linked() == []
    sandbox.run("network", "connect", "bridge", "db")
    assert linked() == [f"{address(sandbox, 'db')}\tstore {short} db"]
    sandbox.run("rm", "--link", "web/store")
    assert linked() == []
