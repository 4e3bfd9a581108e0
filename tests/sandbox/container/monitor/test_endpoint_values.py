"""Places on networks as wires, names and targets of ports; and the hosts file that changes with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.container.monitor.endpoint_values import keeper_member, settings_of, wants_way_out
from sandbox.container.monitor.etc_files import HostsPart, change_hosts, write_etc_files
from sandbox.network.forward_targets import forward_target
from sandbox.network.record import Endpoint, Network, has_local_names

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = ContainerConfig("busybox", "sha256:0", (), ("sh",), dns=("192.0.2.53",), domain_name="example.org")
CONTAINER = Container("c" * 64, "web", 0, CONFIG, ContainerState())
BRIDGE = Network("b" * 64, "bridge", "bridge", subnet4="172.17.0.0/16", gateway4="172.17.0.1")
FRONT = Network(
    "f" * 64, "front", "bridge", subnet4="172.18.0.0/16", gateway4="172.18.0.1", subnet6="fd00::/64",
    gateway6="fd00::1", options={"com.docker.network.driver.mtu": "1400"}, egress=("deny",),
)  # fmt: skip
INNER = Network("i" * 64, "inner", "bridge", subnet4="172.19.0.0/16", gateway4="172.19.0.1", internal=True)


def on(network: Network, number: int, *, default_route: bool = False) -> Endpoint:
    address6 = "fd00::9" if network.subnet6 else ""
    address4 = network.gateway4.replace(".0.1", f".0.{number}")
    return Endpoint(
        "c" * 64, network, "e" * 64, number, f"eth{number}", address4, address6, "02:42:00:00:00:01", ("alias",),
        default_route=default_route,
    )  # fmt: skip


def test_a_wire_has_the_networks_bridge_and_mtu() -> None:
    settings = settings_of(on(FRONT, 7, default_route=True))
    assert settings.bridge.name == "br-" + "f" * 12
    assert settings.bridge.mtu == 1400
    assert settings.bridge.subnet4 == ("172.18.0.0", 16, "172.18.0.1")
    assert settings.bridge.subnet6 == ("fd00::", 64, "fd00::1")
    assert (settings.number, settings.interface, settings.address4, settings.address6) == (
        7, "eth7", "172.18.0.7", "fd00::9",
    )  # fmt: skip
    assert settings.default_route
    assert settings_of(on(INNER, 2)).bridge.internal


def test_the_keeper_is_told_all_names_and_the_rules_of_every_network() -> None:
    member = keeper_member(CONTAINER, (on(FRONT, 2), on(INNER, 3)))
    front, inner = member.names.endpoints
    assert front.names == ("web", "alias", "cccccccccccc")
    assert (front.network_name, front.address4, front.subnet6, inner.internal) == (
        "front",
        "172.18.0.2",
        "fd00::/64",
        True,
    )
    assert member.names.servers == ("192.0.2.53",)
    assert member.names.egress == (("deny",),)
    assert member.wants_way_out
    assert not keeper_member(CONTAINER, (on(INNER, 3),)).wants_way_out


def test_ports_lead_to_the_network_of_the_way_out() -> None:
    target = forward_target((on(INNER, 2), on(FRONT, 3), on(BRIDGE, 4, default_route=True)))
    assert (target.address4, target.address6) == ("172.17.0.4", "fd00::9")
    assert set(target.subnets) == {"172.17.0.0/16", "172.18.0.0/16", "fd00::/64"}
    assert forward_target((on(INNER, 2),)).address4 == ""
    assert not wants_way_out((on(INNER, 2),))


def test_only_networks_that_somebody_made_have_a_name_server_inside() -> None:
    assert not has_local_names((on(BRIDGE, 2),))
    assert has_local_names((on(BRIDGE, 2), on(FRONT, 3)))


def test_the_files_of_a_container_on_bridges(tmp_path: Path) -> None:
    files = write_etc_files(CONTAINER, str(tmp_path), HostsPart((on(FRONT, 2), on(BRIDGE, 3))))
    names = "cccccccccccc.example.org cccccccccccc"
    with open(files.hosts) as file:
        lines = file.read().splitlines()
    assert lines[-3:] == [f"172.18.0.2\t{names}", f"fd00::9\t{names}", f"172.17.0.3\t{names}"]
    with open(files.resolv_conf) as file:
        assert file.readline() == "nameserver 127.0.0.11\n"
    files = write_etc_files(CONTAINER, str(tmp_path), HostsPart((on(BRIDGE, 3),)))
    with open(files.resolv_conf) as file:
        assert file.readline() == "nameserver 172.17.0.1\n"


def test_a_container_without_ipv6_has_no_lines_of_it(tmp_path: Path) -> None:
    config = CONTAINER.config._replace(sysctls=(("net.ipv6.conf.all.disable_ipv6", "1"),))
    write_etc_files(CONTAINER._replace(config=config), str(tmp_path), HostsPart((on(BRIDGE, 3),)))
    names = "cccccccccccc.example.org cccccccccccc"
    assert (tmp_path / "hosts").read_text() == f"127.0.0.1\tlocalhost\n172.17.0.3\t{names}\n"


def test_a_change_of_networks_leaves_what_the_container_wrote_into_its_hosts_file(tmp_path: Path) -> None:
    before = HostsPart((on(FRONT, 2),), ("172.17.0.9\tdb dddd\n",))
    after = HostsPart((on(BRIDGE, 3),), ("172.17.0.11\tdb dddd\n",))
    hosts = tmp_path / "hosts"
    write_etc_files(CONTAINER, str(tmp_path), before)
    assert hosts.read_text().endswith(f"\tcccccccccccc.example.org cccccccccccc\n{before.link_lines[0]}")
    inode = hosts.stat().st_ino
    with open(hosts, "ab") as file:
        file.write(b"192.0.2.1\tm\xffine")
    change_hosts(CONTAINER, str(tmp_path), before, after)
    text = hosts.read_bytes()
    assert b"172.18.0.2" not in text
    assert b"172.17.0.9" not in text
    own = b"172.17.0.3\tcccccccccccc.example.org cccccccccccc\n"
    assert text.endswith(b"192.0.2.1\tm\xffine\n" + own + b"172.17.0.11\tdb dddd\n")
    assert text.startswith(b"127.0.0.1\tlocalhost\n")
    # what is mounted in the container is this very file
    assert hosts.stat().st_ino == inode
    change_hosts(CONTAINER, str(tmp_path), after, before)
    change_hosts(CONTAINER, str(tmp_path), before, after)
    assert hosts.read_bytes() == text
