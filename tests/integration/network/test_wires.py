"""What is set on the wires of containers: IPv6 addresses where a network has them, how fast and late they are."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.network.test_bridges import start
from tests.needs import CONTAINER

if TYPE_CHECKING:
    from tests.command import Sandbox

pytestmark = [pytest.mark.requires(*CONTAINER, "slirp4netns", "tap", "busybox"), pytest.mark.slow]


def _inside(sandbox: Sandbox, name: str, *command: str) -> str:
    """What a command of the host prints in a container's network namespace."""
    pid = sandbox.run("inspect", "--format", "{{.State.Pid}}", name).stdout.strip()
    words = ["nsenter", f"--target={pid}", "--user", "--net", "--preserve-credentials", *command]
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout


def _addresses6(sandbox: Sandbox, name: str) -> list[str]:
    """Those of its interfaces beside the loopback, as "eth0 fd00::2"; "eth0 link" for one of the link."""
    links = json.loads(_inside(sandbox, name, "ip", "-j", "-6", "address"))
    return [
        f"{link['ifname']} {'link' if address['scope'] == 'link' else address['local']}"
        for link in links
        if link.get("ifname", "lo") != "lo"
        for address in link["addr_info"]
    ]


def _qdiscs(sandbox: Sandbox, name: str, interface: str) -> list[Any]:
    shown = json.loads(_inside(sandbox, name, "tc", "-j", "qdisc", "show", "dev", interface))
    return [(each["kind"], each.get("options", {}).get("rate")) for each in shown]


@pytest.mark.requires("ipv6")
def test_addresses_of_ipv6_where_the_network_has_them(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("network", "create", "--ipv6", "--subnet", "fd00:6::/64", "six")
    sandbox.run("network", "create", "four")
    start(sandbox, "both", busybox, "--network", "six")
    start(sandbox, "plain", busybox, "--network", "four")
    assert _addresses6(sandbox, "both") == ["eth0 fd00:6::2", "eth0 link"]
    assert _addresses6(sandbox, "plain") == [], "an address that nobody asked for is a way that nobody knows of"
    sandbox.run("network", "connect", "six", "plain")
    assert _addresses6(sandbox, "plain") == ["eth1 fd00:6::3", "eth1 link"]
    # at once: nobody looks first whether somebody else has the address
    sandbox.run("exec", "plain", "busybox", "ping", "-6", "-c1", "-W5", "both")
    sandbox.run("exec", "both", "busybox", "ping", "-6", "-c1", "-W5", "plain")
    sandbox.run("network", "disconnect", "six", "plain")
    assert _addresses6(sandbox, "plain") == []


def test_wires_are_as_slow_and_late_as_asked_for(sandbox: Sandbox, busybox: str) -> None:
    for name in ("front", "back"):
        sandbox.run("network", "create", name)
    start(sandbox, "slow", busybox, "--network", "front", "--net-rate", "8mbit")
    start(sandbox, "quick", busybox, "--network", "front")
    # bytes
    assert _qdiscs(sandbox, "slow", "eth0") == [("tbf", 1_000_000)]
    assert _qdiscs(sandbox, "quick", "eth0") == [("noqueue", None)]
    sandbox.run("network", "connect", "back", "slow")
    assert _qdiscs(sandbox, "slow", "eth1") == [("tbf", 1_000_000)]
    assert sandbox.run("inspect", "--format", "{{.HostConfig.NetRate}}", "slow").stdout == "8mbit\n"
    sandbox.run("restart", "slow")
    assert _qdiscs(sandbox, "slow", "eth0") == _qdiscs(sandbox, "slow", "eth1") == [("tbf", 1_000_000)]
    sandbox.run("exec", "slow", "busybox", "ping", "-c1", "-W5", "quick")
    _delay_where_the_kernel_can(sandbox, busybox)


def _delay_where_the_kernel_can(sandbox: Sandbox, image: str) -> None:
    trial = "ip link set lo up && tc qdisc add dev lo root netem delay 1ms"
    can = subprocess.run(["unshare", "-Urn", "sh", "-c", trial], capture_output=True, check=False).returncode == 0
    late = ("--network", "back", "--net-delay", "5ms", "--net-loss", "0%")
    done = sandbox.run("run", "--rm", "--name", "late", *late, image, "true", status=0 if can else 125)
    assert can or "--net-delay and --net-loss: this kernel has no qdisc netem" in done.stderr
    assert can or "mend: sudo modprobe sch_netem" in done.stderr
    assert sandbox.run("ps", "-a", "--format", "{{.Names}}").stdout.split() == ["quick", "slow"]
    (network,) = json.loads(sandbox.run("network", "inspect", "back").stdout)
    assert [each["Name"] for each in network["Containers"].values()] == ["slow"]


def test_interfaces_have_names_settings_and_addresses_of_the_link(sandbox: Sandbox, busybox: str) -> None:
    sandbox.run("network", "create", "front")
    sandbox.run("network", "create", "back")
    named = "name=front,link-local-ip=169.254.7.7,driver-opt=com.docker.network.endpoint.ifname=lan0"
    start(sandbox, "web", busybox, "--network", named)
    setting = "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.log_martians=1"
    sandbox.run("network", "connect", "--driver-opt", setting, "--link-local-ip", "fe80::7", "back", "web")
    shown = {link["ifname"]: link for link in json.loads(_inside(sandbox, "web", "ip", "-j", "address"))}
    assert list(shown) == ["lo", "lan0", "eth1"]
    of_link = [(each["local"], each["prefixlen"]) for name in ("lan0", "eth1") for each in shown[name]["addr_info"]]
    assert ("169.254.7.7", 16) in of_link
    assert ("fe80::7", 64) in of_link
    assert sandbox.run("exec", "web", "cat", "/proc/sys/net/ipv4/conf/eth1/log_martians").stdout == "1\n"
    assert sandbox.run("exec", "web", "cat", "/proc/sys/net/ipv4/conf/lan0/log_martians").stdout == "0\n"
    networks = json.loads(sandbox.run("inspect", "-f", "{{json .NetworkSettings.Networks}}", "web").stdout)
    assert networks["front"]["IPAMConfig"] == {"LinkLocalIPs": ["169.254.7.7"]}
    assert networks["back"]["DriverOpts"] == dict([setting.split("=", 1)])
    # what it has stays over a restart
    sandbox.run("restart", "-t0", "web")
    shown = {link["ifname"]: link for link in json.loads(_inside(sandbox, "web", "ip", "-j", "address"))}
    assert list(shown) == ["lo", "lan0", "eth1"]
