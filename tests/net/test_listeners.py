"""The host's sockets of published ports: all that are asked for, or none and the reason."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from net.errors import NetError
from net.host_ports import PortInUseError, check_free
from net.listeners import Listener, close_listeners, open_listeners
from net.ports import Forward, PortMapping
from tests.needs import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from net.ports import Protocol

    Open = Callable[..., tuple[Listener, ...]]

pytestmark = pytest.mark.requires("ipv6")


@pytest.fixture
def opened() -> Iterator[Open]:
    """`open_listeners`, whose sockets are closed at the end."""
    found: list[Listener] = []

    def open_them(*mappings: PortMapping) -> tuple[Listener, ...]:
        found.extend(one := open_listeners(mappings))
        return one

    yield open_them
    close_listeners(found)


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET6, kind) as probe:
        probe.bind(("::", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_every_address_is_two_sockets_of_one_port(opened: Open, protocol: Protocol) -> None:
    port = free_port(socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
    found = opened(PortMapping("", port, 80, protocol), PortMapping("", 0, 81, protocol))
    rows = [one.mapping for one in found]
    assert rows[:2] == [PortMapping("0.0.0.0", port, 80, protocol), PortMapping("::", port, 80, protocol)]
    assert [(row.host_ip, row.container_port) for row in rows[2:]] == [("0.0.0.0", 81), ("::", 81)]
    assert rows[2].host_port == rows[3].host_port > 0


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "0.0.0.0", "::"])
def test_one_address_is_one_socket(opened: Open, address: str) -> None:
    (one,) = opened(PortMapping(address, 0, 80, proxy_protocol=2))
    assert (one.mapping.host_ip, one.mapping.container_port, one.mapping.proxy_protocol) == (address, 80, 2)
    assert not os.get_inheritable(one.fd)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as client:
        client.connect(("::1" if ":" in address else "127.0.0.1", one.mapping.host_port))


def test_the_two_families_may_lead_to_different_ports(opened: Open) -> None:
    port = free_port()
    found = opened(PortMapping("0.0.0.0", port, 80), PortMapping("::", port, 81))
    assert [one.mapping.container_port for one in found] == [80, 81]


def test_a_range_gives_one_that_is_free(opened: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = opened(PortMapping("127.0.0.1", port, 80, "tcp", port + 20))
        assert port < found[0].mapping.host_port <= port + 20
        assert found[0].mapping.host_port_end == 0


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("asked", ["", "of the family"])
def test_a_taken_port_is_refused_with_its_holder(opened: Open, family: socket.AddressFamily, asked: str) -> None:
    address = "::1" if family == socket.AF_INET6 else "127.0.0.1"
    other = free_port()
    with socket.create_server((address, 0), family=family) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match="port is already allocated") as caught:
            opened(PortMapping("127.0.0.1", other, 80), PortMapping(address if asked else "", port, 80))
        assert caught.value.pid == os.getpid()
        assert caught.value.forward.host_port == port
    # nothing of the others stays
    check_free(Forward("127.0.0.1", other, "tcp"))


def test_a_server_of_both_families_is_named(opened: Open) -> None:
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        with pytest.raises(PortInUseError) as caught:
            opened(PortMapping("0.0.0.0", taken.getsockname()[1], 80))
        assert caught.value.pid == os.getpid()


def test_one_port_twice_is_refused(opened: Open) -> None:
    with pytest.raises(NetError, match="asked for twice"):
        opened(PortMapping("", 8080, 80), PortMapping("::", 8080, 81))


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_an_address_of_another_machine_is_refused(opened: Open, address: str) -> None:
    with pytest.raises(NetError, match="is not an address of this machine"):
        opened(PortMapping(address, 8080, 80))


#: in a network namespace of its own: without IPv6, with the setting of the first port for users as given
_OPEN = """
import sys
from net.errors import NetError
from net.listeners import open_listeners
from net.ports import PortMapping
try:
    print([one.mapping.host_ip for one in open_listeners([PortMapping(sys.argv[1], int(sys.argv[2]), 80)])])
except NetError as error:
    print(error.message, error.cause, error.mend, sep="; ")
"""


@pytest.mark.requires("userns")
@pytest.mark.parametrize(
    ("map_user", "address", "port", "expected"),
    [
        ("--map-root-user", "", 8080, "['0.0.0.0']"),
        ("--map-root-user", "::1", 8080, "cannot publish on [::1]:8080/tcp; IPv6 is off on this host; "),
        ("--map-current-user", "", 80, "; use a free host port, such as 8080; or, by an administrator: sudo sysctl "),
    ],
    ids=["no IPv6", "IPv6 asked for", "privileged"],
)
def test_hosts_of_other_settings(map_user: str, address: str, port: int, expected: str) -> None:
    script = 'echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up; exec "$0" "$@"'
    if map_user == "--map-current-user":
        script = 'exec "$0" "$@"'
    words = [
        "unshare",
        "--user",
        map_user,
        "--net",
        "sh",
        "-c",
        script,
        sys.executable,
        "-c",
        _OPEN,
        address,
        str(port),
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert expected in done.stdout
