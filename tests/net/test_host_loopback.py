"""The host's own loopback, asked for by who is in a private network: refused, by IPv4 and by IPv6.

slirp4netns hands what is sent to its gateways, 10.0.2.2 and fd00::2, to the host's loopback unless told not to. That
a connection could have come through is shown by the same attempt without that option.
"""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import pytest

from tests.net.private_network import private_network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.requires("userns", "tap", "slirp4netns", "ipv6"), pytest.mark.slow]

#: connects to each "address" of one port, prints those that answered with a byte; waits for a global IPv6 address that
#: is no longer tentative (flag 0x40 of /proc/net/if_inet6), which the kernel tells to group RTMGRP_IPV6_IFADDR
_TRY = """
import socket, sys
def ready():
    rows = [line.split() for line in open("/proc/net/if_inet6")]
    return any(row[0].startswith("fd00") and not int(row[4], 16) & 0x40 for row in rows)
events = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
events.bind((0, 0x100))
events.settimeout(20)
while not ready():
    events.recv(65536)
port, *addresses = sys.argv[1:]
for address in addresses:
    try:
        with socket.create_connection((address, int(port)), timeout=5) as connection:
            if connection.recv(1):
                print(address)
    except OSError:
        continue
"""
_ADDRESSES = ("10.0.2.2", "127.0.0.1", "fd00::2", "::1", "fe80::2%tap0", "::ffff:127.0.0.1", "::ffff:10.0.2.2")


@pytest.fixture
def port() -> Iterator[int]:
    """A port with a listener on the host's 127.0.0.1 and ::1; each has a byte for whoever comes."""
    with socket.create_server(("127.0.0.1", 0)) as four:
        port: int = four.getsockname()[1]
        with socket.create_server(("::1", port), family=socket.AF_INET6) as six:
            yield from _served((four, six), port)


def _served(listeners: tuple[socket.socket, socket.socket], port: int) -> Iterator[int]:
    import selectors
    import threading

    ours, theirs = socket.socketpair()

    def serve() -> None:
        with selectors.DefaultSelector() as waiting:
            for listener in (*listeners, theirs):
                waiting.register(listener, selectors.EVENT_READ)
            while True:
                for key, _events in waiting.select():
                    if key.fileobj is theirs:
                        return
                    assert isinstance(key.fileobj, socket.socket)
                    with key.fileobj.accept()[0] as connection:
                        connection.sendall(b"x")

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield port
    finally:
        ours.close()
        server.join()
        theirs.close()


@pytest.mark.parametrize("host_loopback", [False, True])
def test_host_loopback_is_out_of_reach(tmp_path: Path, port: int, host_loopback: bool) -> None:
    with private_network(tmp_path, host_loopback=host_loopback) as network:
        tried = network.run(sys.executable, "-c", _TRY, str(port), *_ADDRESSES)
    assert tried.returncode == 0, tried.stderr
    reached = tried.stdout.split()
    if host_loopback:
        assert {"10.0.2.2", "fd00::2"} <= set(reached)
    else:
        assert reached == []
