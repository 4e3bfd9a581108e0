"""Subnets of networks: Docker's choice and Docker's words, and what the host has is left alone."""

from __future__ import annotations

import subprocess
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from net.errors import NetError
from net.host_routes import read_busy
from net.networks import Subnet
from net.subnets import (
    AskedSubnet,
    Busy,
    CheckedSubnet,
    OverlapError,
    Pool,
    check_pool,
    check_subnets,
    choose_subnet4,
    choose_subnet6,
    overlapping,
)
from net.syscalls import CLONE_NEWNET, unshare
from tests.net.bridge_containers import run_in_user_namespace

if TYPE_CHECKING:
    from pathlib import Path

_FREE = Busy()


def _routes(*texts: str) -> Busy:
    return Busy(tuple((text, "tun0") for text in texts))


def test_pools_are_dockers_in_its_order() -> None:
    taken: list[str] = []
    for _each in range(15 + 16):
        taken.append(choose_subnet4(taken, _FREE).text)
    assert taken[:15] == [f"172.{second}.0.0/16" for second in range(17, 32)]
    assert taken[15:] == [f"192.168.{third}.0/20" for third in range(0, 256, 16)]
    with pytest.raises(NetError, match="all predefined address pools have been fully subnetted"):
        choose_subnet4(taken, _FREE)


def test_pools_of_ones_own() -> None:
    pools = (Pool("10.10.0.0/23", 24), Pool("10.20.0.0/16", 16))
    taken: list[str] = []
    for _each in range(3):
        taken.append(choose_subnet4(taken, _FREE, pools).text)
    assert taken == ["10.10.0.0/24", "10.10.1.0/24", "10.20.0.0/16"]
    with pytest.raises(NetError) as caught:
        choose_subnet4(taken, _FREE, pools)
    assert caught.value.cause == "networks, and this host's routes, are in all of 10.10.0.0/23, 10.20.0.0/16"


@pytest.mark.parametrize(
    "pool",
    [
        Pool("10.10.0.1/16", 24),
        Pool("x", 24),
        Pool("10.0.0.0/16", 8),
        Pool("10.0.0.0/16", 31),
        Pool("fd00::/48", 64),
    ],
)
def test_pools_that_are_none(pool: Pool) -> None:
    with pytest.raises(NetError, match="invalid default address pool"):
        check_pool(pool)
    assert check_pool(Pool("10.10.0.0/16", 16)) == Pool("10.10.0.0/16", 16)


def test_first_address_is_the_gateways() -> None:
    assert choose_subnet4((), _FREE) == Subnet("172.17.0.0", 16, "172.17.0.1")


@pytest.mark.parametrize(
    ("busy", "chosen"),
    [
        (_routes("172.17.0.0/16"), "172.18.0.0/16"),
        (_routes("172.17.5.0/24", "172.18.3.4/32"), "172.19.0.0/16"),
        (_routes("172.16.0.0/12"), "192.168.0.0/20"),
        # ways out are no networks: of the host, and of a VPN that takes all
        (_routes("0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "::/0"), "172.17.0.0/16"),
        (Busy(name_servers=("172.17.0.53", "fe80::1%eth0", "nonsense")), "172.18.0.0/16"),
    ],
)
def test_what_the_host_has_is_passed_over(busy: Busy, chosen: str) -> None:
    assert choose_subnet4((), busy).text == chosen


@given(
    st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(2, 32)), max_size=30),
    st.lists(st.integers(0, 2**32 - 1), max_size=5),
    st.integers(1, 40),
)
def test_chosen_subnets_never_overlap(routes: list[tuple[int, int]], servers: list[int], count: int) -> None:
    networks = [IPv4Network((address, prefix), strict=False) for address, prefix in routes]
    busy = Busy(tuple((str(network), "") for network in networks), tuple(str(ip_address(each)) for each in servers))
    taken: list[Subnet] = []
    for _each in range(count):
        try:
            taken.append(choose_subnet4([subnet.text for subnet in taken], busy))
        except NetError:
            break
    chosen = [IPv4Network(subnet.text) for subnet in taken]
    for place, one in enumerate(chosen):
        assert not any(one.overlaps(other) for other in [*networks, *chosen[:place], IPv4Network("10.0.2.0/24")])
        assert not any(ip_address(server) in one for server in servers)
        assert ip_address(taken[place].gateway) in one
        assert overlapping(str(one), busy) == ""


@given(st.lists(st.text(max_size=20), unique=True, max_size=20))
def test_ipv6_subnets_are_local_and_apart(seeds: list[str]) -> None:
    taken: list[str] = []
    for seed in seeds:
        taken.append(choose_subnet6(taken, seed).text)
    assert len(set(taken)) == len(taken)
    for text in taken:
        assert IPv6Network(text).subnet_of(IPv6Network("fd00::/8"))
        assert IPv6Network(text).prefixlen == 64


def test_ipv6_subnet_of_a_seed() -> None:
    first = choose_subnet6((), "web")
    assert choose_subnet6((), "web") == first
    assert choose_subnet6((first.text,), "web") != first
    assert first.gateway == str(IPv6Network(first.text)[1])


@given(st.data())
def test_asked_subnets_are_as_asked(data: st.DataObject) -> None:
    prefix = data.draw(st.integers(8, 29))
    # beside the network of slirp4netns
    address = data.draw(st.integers(11 << 24, 223 << 24)) >> (32 - prefix) << (32 - prefix)
    network = IPv4Network((address, prefix))
    assume(not network.overlaps(IPv4Network("127.0.0.0/8")))
    inner = data.draw(st.integers(prefix, 30))
    part = data.draw(st.integers(0, 2 ** (inner - prefix) - 1))
    ip_range = IPv4Network((address + (part << (32 - inner)), inner))
    with_gateway = data.draw(st.booleans())
    gateway = str(network[data.draw(st.integers(1, network.num_addresses - 2))]) if with_gateway else ""
    (checked,) = check_subnets([AskedSubnet(str(network), gateway, str(ip_range))], {})
    assert (checked.subnet.text, checked.ip_range) == (str(network), str(ip_range))
    assert checked.subnet.gateway == gateway or not with_gateway
    given_one = ip_address(checked.subnet.gateway)
    assert given_one in (network if with_gateway else ip_range)
    assert given_one not in (network.network_address, network.broadcast_address)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (AskedSubnet("nonsense"), "invalid subnet nonsense: invalid CIDR block notation"),
        (AskedSubnet("10.5.0.0"), "invalid subnet 10.5.0.0: invalid CIDR block notation"),
        (AskedSubnet("10.5.0.1/16"), "invalid subnet 10.5.0.1/16: it should be 10.5.0.0/16"),
        (AskedSubnet("10.5.0.0/31"),
         "invalid subnet 10.5.0.0/31: it has no address for a container beside the gateway's"),
        (AskedSubnet("10.5.0.0/16", "10.6.0.1"),
         "invalid gateway 10.6.0.1: parent subnet 10.5.0.0/16 doesn't contain this address"),
        (AskedSubnet("10.5.0.0/16", "fd00::1"), "invalid gateway fd00::1: parent subnet is an IPv4 block"),
        (AskedSubnet("10.5.0.0/16", "gate"), "invalid gateway gate: invalid address"),
        (AskedSubnet("10.5.0.0/16", "10.5.0.0"), "invalid gateway 10.5.0.0: it is the network's own"),
        (AskedSubnet("10.5.0.0/16", "", "10.5.1.1/24"), "invalid ip-range 10.5.1.1/24: it should be 10.5.1.0/24"),
        (AskedSubnet("10.5.0.0/16", "", "10.0.0.0/8"),
         "invalid ip-range 10.0.0.0/8: CIDR block is bigger than its parent subnet 10.5.0.0/16"),
        (AskedSubnet("10.5.0.0/16", "", "10.6.0.0/24"),
         "invalid ip-range 10.6.0.0/24: parent subnet 10.5.0.0/16 doesn't contain ip-range"),
        (AskedSubnet("10.5.0.0/16", "", "fd00::/80"), "invalid ip-range fd00::/80: parent subnet is an IPv4 block"),
        (AskedSubnet("10.5.0.0/16", "", "x"), "invalid ip-range x: invalid CIDR block notation"),
        (AskedSubnet("10.5.0.0/16", auxiliary=(("host", "10.6.0.9"),)),
         "invalid auxiliary address host: 10.6.0.9: parent subnet 10.5.0.0/16 doesn't contain this address"),
        (AskedSubnet("0.0.0.0/8"), "invalid subnet 0.0.0.0/8: the addresses 0.0.0.0/8 stand for this host"),
        (AskedSubnet("127.5.0.0/16"), "invalid subnet 127.5.0.0/16: the addresses 127.0.0.0/8 are of the loopback"),
        (AskedSubnet("192.0.0.0/2"), "invalid subnet 192.0.0.0/2: the addresses 224.0.0.0/4 are multicast"),
        (AskedSubnet("ff05::/64"), "invalid subnet ff05::/64: the addresses ff00::/8 are multicast"),
        (AskedSubnet("::/120"),
         "invalid subnet ::/120: the addresses ::/127 stand for this host, or are of the loopback"),
        (AskedSubnet("::ffff:10.5.0.0/112"),
         "invalid subnet ::ffff:10.5.0.0/112: the addresses ::ffff:0:0/96 are IPv4's in the form of IPv6"),
    ],
)  # fmt: skip
def test_what_no_network_can_have(asked: AskedSubnet, words: str) -> None:
    with pytest.raises(NetError) as caught:
        check_subnets([asked], {})
    assert caught.value.message == f"invalid network config: {words}"


def test_a_subnet_with_bits_beyond_its_prefix_is_told_without_them() -> None:
    with pytest.raises(NetError) as caught:
        check_subnets([AskedSubnet("10.6.0.0/16"), AskedSubnet("FD00:5::1/64")], {})
    assert caught.value.mend == "--subnet fd00:5::/64"
    with pytest.raises(NetError) as caught:
        check_subnets([AskedSubnet("127.0.0.0/8")], {})
    assert caught.value.mend.startswith("leave --subnet out")


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(NetError) as caught:
        check_subnets([AskedSubnet("10.5.0.1/16", "10.6.0.1"), AskedSubnet("x")], {})
    assert caught.value.message.count("invalid ") == 5, (
        "the config, a subnet, its gateway, and a block's notation twice"
    )
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("asked", "taken", "cause"),
    [
        (["10.5.0.0/16"], ["10.5.3.0/24"], "10.5.0.0/16 overlaps 10.5.3.0/24 of network front"),
        (["10.5.3.0/24"], ["10.6.0.0/16", "10.0.0.0/8"], "10.5.3.0/24 overlaps 10.0.0.0/8 of network front"),
        (["fd00:1::/48"], ["fd00:1::/64"], "fd00:1::/48 overlaps fd00:1::/64 of network front"),
        (["10.5.0.0/16", "10.5.3.0/24"], [], "10.5.3.0/24 overlaps 10.5.0.0/16, which was asked for too"),
        (["10.0.0.0/16"], [], "10.0.0.0/16 overlaps 10.0.2.0/24, the way out of all networks, by slirp4netns"),
        (["fd00::/48"], [], "fd00::/48 overlaps fd00::/64, the way out of all networks, by slirp4netns"),
    ],
)
def test_subnets_that_overlap(asked: list[str], taken: list[str], cause: str) -> None:
    with pytest.raises(OverlapError) as caught:
        check_subnets([AskedSubnet(text) for text in asked], dict.fromkeys(taken, "front"))
    assert caught.value.message == "invalid pool request: Pool overlaps with other one on this address space"
    assert caught.value.cause == cause
    assert caught.value.version == (6 if ":" in asked[0] else 4)


def test_gateway_is_the_first_that_is_free() -> None:
    asked = AskedSubnet("10.5.0.0/16", ip_range="10.5.0.0/24", auxiliary=(("a", "10.5.0.1"), ("b", "10.5.0.3")))
    assert check_subnets([asked], {}) == (CheckedSubnet(Subnet("10.5.0.0", 16, "10.5.0.2"), "10.5.0.0/24"),)
    asked = AskedSubnet("10.5.0.0/16", ip_range="10.5.7.0/31", auxiliary=(("a", "10.5.7.0"), ("b", "10.5.7.1")))
    with pytest.raises(NetError, match=r"no address of 10\.5\.7\.0/31 is left"):
        check_subnets([asked], {})
    assert check_subnets([AskedSubnet("FD00:1:0::/64")], {})[0].subnet == Subnet("fd00:1::", 64, "fd00:1::1")


def test_what_a_subnet_would_hide_is_told() -> None:
    busy = Busy((("10.0.0.0/8", "tun0"), ("192.168.1.0/24", "")), ("192.168.2.1",))
    assert overlapping("10.5.0.0/16", busy) == "the host's route to 10.0.0.0/8 by tun0"
    assert overlapping("192.168.0.0/20", busy) == "the host's route to 192.168.1.0/24"
    assert overlapping("192.168.2.0/24", busy) == "the host's name server 192.168.2.1"
    assert overlapping("10.0.2.128/25", busy).startswith("10.0.2.0/24")
    assert overlapping("172.17.0.0/16", busy) == ""
    assert overlapping("fd00:1::/64", busy) == ""


@pytest.mark.requires("userns")
def test_routes_of_all_tables_are_read(tmp_path: Path) -> None:
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text("nameserver 192.0.2.53\n")
    routes, servers = run_in_user_namespace(_busy, str(resolv_conf))
    found = {(text, name) for text, name in routes if ip_network(text, strict=False).is_loopback is False}
    assert ("198.51.100.7/32", "lo") in found
    assert ("172.18.0.0/16", "lo") in found, "of a table that a VPN made"
    assert ("2001:db8::/32", "lo") in found
    assert not any(text.startswith("172.19.") for text, _name in routes), "a route that refuses leads nowhere"
    assert servers == ["192.0.2.53"]


def _busy(resolv_conf: str) -> Any:
    unshare(CLONE_NEWNET)
    for words in (
        "link set lo up",
        "address add 198.51.100.7/24 dev lo",
        "route add 172.18.0.0/16 dev lo table 5555",
        "route add unreachable 172.19.0.0/16",
        "-6 route add 2001:db8::/32 dev lo",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    return read_busy(resolv_conf, "/nonexistent")
