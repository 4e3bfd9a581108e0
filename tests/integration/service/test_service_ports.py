"""The published ports of services: one listener over containers, whatever is killed."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest

from sandbox.errors import ConflictError
from sandbox.network.service_forwarders import find_forwarders
from sandbox.paths import find_paths
from sandbox.service.ports import begin_drain, look_at, publish, remove, settle, sweep, withdraw
from sandbox.service.published import published_ports
from sandbox.service.spec import ServicePort
from sandbox.service.store import delete_service, insert_service, update_service
from sandbox.state import open_state
from tests.integration.container.conftest import busybox, busybox_home, busybox_tar, eventually
from tests.integration.network.echo_containers import HOST_PYTHON
from tests.needs import CONTAINER
from tests.ports import find_free_port
from tests.sandbox.service.values import service_of, spec_named, task_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sandbox.paths import Paths
    from sandbox.service.record import Service
    from tests.command import Sandbox

__all__ = ["busybox", "busybox_home", "busybox_tar", "eventually"]

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox", "ipv6"), pytest.mark.slow]

#: it tells its name, and who came
_SERVER = """
import socket, sys
server = socket.create_server(("", 80), backlog=100)
print("up", flush=True)
while True:
    peer, address = server.accept()
    with peer:
        peer.sendall(sys.argv[1].encode() + b" " + address[0].encode())
"""


@pytest.fixture
def paths(sandbox: Sandbox) -> Paths:
    return find_paths(sandbox.env)


@pytest.fixture
def service(sandbox: Sandbox, paths: Paths) -> Iterator[Service]:
    """One whose row is there, with a port that is chosen, and no task."""
    made = service_of(spec_named(ports=(ServicePort(80),)), id="abc123")
    sandbox.run("network", "create", "front")
    with open_state(paths) as connection:
        insert_service(connection, made)
        # there is nothing to decide: no reconciler is to meddle
        update_service(connection, made, due_ns=0)
    yield made
    with open_state(paths) as connection:
        delete_service(connection, made.id)
    sweep(paths)


def start(sandbox: Sandbox, image: str, name: str) -> str:
    """A container that answers by its name; its id."""
    words = ("/usr/bin/python3", "-c", _SERVER, name)
    done = sandbox.run("run", "-d", "--name", name, "--network", "front", *HOST_PYTHON, image, *words)
    sandbox.wait_for_log(name, "up")
    return done.stdout.strip()


def ask(port: int, address: str = "127.0.0.1") -> str:
    with socket.create_connection((address, port), timeout=60) as connection:
        return connection.makefile("rb").read().decode()


def who(port: int, times: int = 6) -> set[str]:
    return {ask(port).split()[0] for _ in range(times)}


def test_one_listener_over_all_members_whatever_is_killed(
    sandbox: Sandbox, busybox: str, paths: Paths, service: Service, eventually: Callable[..., None]
) -> None:
    ids = {name: start(sandbox, busybox, name) for name in ("one", "two")}
    tasks = [task_of(service, f"t{name}", container_id=ids[name], state="running") for name in ids]
    (port,) = settle(paths, service, tasks)
    assert 30000 <= port.published <= 32767
    assert who(port.published) == {"one", "two"}
    eventually(lambda: (info := look_at(paths, service)) and {one.open for one in info.members} == {0})
    # the host itself is seen as the gateway
    gateway = sandbox.run("inspect", "-f", "{{.NetworkSettings.Networks.front.Gateway}}", "one").stdout.strip()
    assert ask(port.published, "::1").split()[1] == gateway

    # at rest, and woken by who comes, it is the same
    (process,) = find_forwarders(paths)
    eventually(lambda: os.readlink(f"/proc/{process.pid}/exe").startswith("/memfd:"))
    # what is just executed has the kernel's name for a moment
    eventually(lambda: tuple(find_forwarders(paths)) == (process,))
    assert who(port.published) == {"one", "two"}
    assert (info := look_at(paths, service)) is not None
    assert {one.key for one in info.members} == set(ids.values())
    assert tuple(find_forwarders(paths)) == (process,)

    # killed: the next one has the same port and the same members
    os.kill(process.pid, signal.SIGKILL)
    assert settle(paths, service, tasks) == (port,)
    assert who(port.published) == {"one", "two"}

    # out before it is stopped; asked a second time nothing changes
    withdraw(paths, service, tasks[0])
    assert begin_drain(paths, service, tasks[0]) is None
    assert settle(paths, service, [tasks[0]._replace(draining=True), tasks[1]]) == (port,)
    assert who(port.published) == {"two"}
    assert settle(paths, service, tasks) == (port,)
    assert who(port.published) == {"one", "two"}

    # a container that dies is out by itself, and without any the port stays
    sandbox.run("kill", "one")
    assert who(port.published) == {"two"}
    sandbox.run("rm", "-f", "one", "two")
    with pytest.raises(ConnectionResetError):
        ask(port.published)
    info = look_at(paths, service)
    assert info is not None
    assert info.members == ()
    # the next one is on the same router
    again = task_of(service, "tthree", container_id=start(sandbox, busybox, "three"), state="running")
    settle(paths, service, [again])
    assert who(port.published) == {"three"}

    # an address by which it is not reached any more, where the runtime directory was swept
    for path in (sandbox.home.runtime / "sandbox" / "services").iterdir():
        path.unlink()
    assert settle(paths, service, [again]) == (port,)
    assert who(port.published) == {"three"}

    # nothing of what has ended is counted
    eventually(lambda: (info := look_at(paths, service)) and {one.open for one in info.members} == {0})
    remove(paths, service)
    assert list(find_forwarders(paths)) == []
    with pytest.raises(ConnectionRefusedError):
        ask(port.published)


def test_a_taken_port_is_told_with_its_holder(sandbox: Sandbox, busybox: str, paths: Paths, service: Service) -> None:
    port = find_free_port()
    web = service._replace(spec=service.spec._replace(ports=(ServicePort(80, port),)))
    other = service_of(spec_named("other", ports=(ServicePort(81, port),)), id="def456")
    assert publish(paths, web) == (ServicePort(80, port),)
    with pytest.raises(ConflictError, match=f"port '{port}' is already in use by service 'web' .abc123. as an ingress"):
        publish(paths, other)
    run = ("run", "-d", "--name", "first", "--network", "front", "-p")
    told = sandbox.run(*run, f"{port}:80", busybox, "sleep", "1000", status=125).stderr
    assert "service web publishes it" in told
    sandbox.run("rm", "-f", "first")

    # the other way round: nothing of what cannot be had whole is changed
    taken = find_free_port()
    sandbox.run(*run, f"{taken}:80", busybox, "sleep", "1000")
    both = web._replace(spec=web.spec._replace(ports=(ServicePort(80, find_free_port()), ServicePort(81, taken))))
    with pytest.raises(ConflictError) as caught:
        publish(paths, both)
    assert caught.value.cause == "container first publishes it"
    info = look_at(paths, web)
    assert info is not None
    assert {one.host_port for one in info.ports} == {port}
    with socket.create_server(("127.0.0.1", 0)) as held, pytest.raises(ConflictError, match="already allocated"):
        publish(paths, web._replace(spec=web.spec._replace(ports=(ServicePort(80, held.getsockname()[1]),))))

    # ports that change: what stays is not closed meanwhile
    more = web._replace(spec=web.spec._replace(ports=(ServicePort(8080, port), ServicePort(53, 0, "udp"))))
    _, chosen = publish(paths, more)
    info = look_at(paths, web)
    assert info is not None
    assert {(one.host_port, one.container_port, one.protocol) for one in info.ports} == {
        (port, 8080, "tcp"), (chosen.published, 53, "udp"),
    }  # fmt: skip
    with open_state(paths) as connection:
        assert set(published_ports(connection, web.id)) == {ServicePort(8080, port), chosen}
        delete_service(connection, web.id)
        assert published_ports(connection, web.id) == ()
    # its maker was killed, say: who comes next has the port
    assert publish(paths, other) == (ServicePort(81, port),)
    assert look_at(paths, web) is None
    sweep(paths)
    assert look_at(paths, web) is None
