"""What crosses published ports, over each way that a container's network is made: the same tests for all."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests import leaks
from tests.command import Home, Sandbox
from tests.integration.network.echo_containers import HOST_PYTHON
from tests.integration.network.transfer_server import SERVER, Place, digest_of, read_digest
from tests.needs import CONTAINER
from tests.ports import find_free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "pasta", "tap", "busybox", "ipv6"), pytest.mark.slow]

_MEGABYTES = 64


class _Driver(NamedTuple):
    """A value of `--network`, where the host's ports are bound, whom the server sees for a client of the host, and what
    carries the ports.
    """

    network: str
    address: str
    gateway: str
    ports: str = "builtin"


_DRIVERS = {
    "bridge": _Driver("four", "127.0.0.1", "172.30.4.1"),
    "bridge-over-IPv6": _Driver("six", "::1", "fd00:6::1"),
    "bridge-by-slirp4netns": _Driver("four", "127.0.0.1", "10.0.2.2", "slirp4netns"),
    "slirp4netns": _Driver("slirp4netns", "127.0.0.1", "10.0.2.2", "slirp4netns"),
    "pasta": _Driver("pasta", "127.0.0.1", "10.0.2.100"),
}


class _Running(NamedTuple):
    sandbox: Sandbox
    driver: _Driver
    name: str
    place: Place

    def log(self) -> list[str]:
        return self.sandbox.run("logs", self.name).lines


@pytest.fixture(scope="module")
def stand(request: pytest.FixtureRequest, busybox_tar: Path) -> Iterator[Sandbox]:
    """A home with the image `busybox`, and networks of one and of both versions of IP."""
    home = Home.make(request.config.getoption("--storage-driver"))
    sandbox = Sandbox(home)
    sandbox.run("import", busybox_tar, "busybox")
    sandbox.run("network", "create", "--subnet", "172.30.4.0/24", "four")
    sandbox.run("network", "create", "--ipv6", "--subnet", "fd00:6::/64", "six")
    yield sandbox
    sandbox.remove_containers()
    left = leaks.wait_processes_gone(str(home.root), hurry=True)
    home.remove()
    assert left == []


@pytest.fixture(scope="module", params=_DRIVERS)
def running(request: pytest.FixtureRequest, stand: Sandbox) -> _Running:
    """The server in a container; its tcp and udp ports are published by one number of the host."""
    driver, name = _DRIVERS[request.param], request.param
    place = Place(driver.address, find_free_port())
    host = f"[{place.address}]" if ":" in place.address else place.address
    publish = ("--port-driver", driver.ports, "-p", f"{host}:{place.port}:80", "-p", f"{host}:{place.port}:53/udp")
    stand.run("run", "-d", "--name", name, "--network", driver.network, *publish, *HOST_PYTHON, "busybox", *SERVER)
    stand.wait_for_log(name, "up")
    return _Running(stand, driver, name, place)


def _exchange(running: _Running, megabytes: int) -> None:
    """Both ways, each by a connection whose directions end one after the other."""
    digest = digest_of(megabytes)
    # the server tells it after the client's end
    assert running.place.upload(megabytes) == digest
    with running.place.ask_for(f"{megabytes}", megabytes) as client:
        assert read_digest(client) == digest
        client.sendall(b"heard")
    running.sandbox.wait_for_log(running.name, f"after its end {megabytes} heard")


def test_what_is_sent_is_what_arrives(running: _Running) -> None:
    _exchange(running, _MEGABYTES)


@pytest.mark.long
def test_a_gigabyte_that_is_sent_is_what_arrives(running: _Running) -> None:
    _exchange(running, 1024)


def test_a_reader_that_is_slow_holds_its_writer_and_nobody_else(running: _Running) -> None:
    with running.place.ask_for("slow", _MEGABYTES) as slow:
        assert slow.recv(1) == b"\0"
        with running.place.ask_for("quick", _MEGABYTES) as quick:
            assert read_digest(quick) == digest_of(_MEGABYTES)
        running.sandbox.wait_for_log(running.name, "gave quick")
        assert "gave slow" not in running.log()
        with slow.makefile("rb") as rest:
            assert len(rest.read()) == (_MEGABYTES << 20) - 1
    running.sandbox.wait_for_log(running.name, "gave slow")


def test_datagrams_are_sent_back(running: _Running) -> None:
    sent = [bytes([size % 251]) * size for size in (1, 512, 1472, 9000, 60_000)]
    assert running.place.echo(*sent) == sent


def test_the_server_sees_the_gateway_for_a_client_of_the_host(running: _Running) -> None:
    assert running.place.who().removeprefix("::ffff:") == running.driver.gateway
