"""A new network namespace made ready, as a container's is."""

from __future__ import annotations

import subprocess
import sys

import pytest

from net.errors import NetError
from net.namespace import write_sysctl

_PREPARE = """
import socket
from net.namespace import prepare_namespace, set_interface_up
from tests.net.interface_addresses import list_addresses
prepare_namespace()
set_interface_up("lo")
print(",".join(":".join(address) for address in list_addresses()))
socket.create_server(("127.0.0.1", 80)).close()
print(open("/proc/sys/net/ipv4/ip_unprivileged_port_start").read().strip())
print(open("/proc/sys/net/ipv4/ping_group_range").read().split())
"""


def _in_new_namespace(code: str) -> subprocess.CompletedProcess[str]:
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.requires("userns")
def test_new_namespace_has_loopback_and_low_ports() -> None:
    done = _in_new_namespace(_PREPARE)
    assert done.returncode == 0, done.stderr
    addresses, start, ping = done.stdout.splitlines()
    assert "lo:127.0.0.1" in addresses.split(",")
    assert start == "0"
    assert ping == "['0', '0']"  # the one group that is mapped here


#: what a namespace is that was born on a host with IPv6 off, where those inherit it
_BORN_WITHOUT_IPV6 = """
from net.namespace import prepare_bridged_namespace
from pathlib import Path
setting = Path("/proc/sys/net/ipv6/conf/default/disable_ipv6")
setting.write_text("1")
prepare_bridged_namespace()
print(setting.read_text().strip())
"""


@pytest.mark.requires("userns", "ipv6")
def test_networks_may_have_ipv6_where_the_host_has_it_off() -> None:
    done = _in_new_namespace(_BORN_WITHOUT_IPV6)
    assert done.stdout == "0\n", done.stderr


@pytest.mark.requires("userns")
def test_interface_that_is_not_there() -> None:
    done = _in_new_namespace("from net.namespace import set_interface_up; set_interface_up('tap7')")
    assert "cannot bring the interface tap7 up" in done.stderr


@pytest.mark.parametrize("name", ["kernel.core_pattern", "net", "net..ipv4", "net.../../kernel/x", "net.a/b"])
def test_sysctls_of_others_are_refused(name: str) -> None:
    with pytest.raises(NetError):
        write_sysctl(name, "1")


def test_sysctl_the_host_keeps_from_us() -> None:
    with pytest.raises(NetError) as caught:
        write_sysctl("net.ipv4.ip_forward", "1")
    assert caught.value.cause
