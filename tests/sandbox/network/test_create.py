"""What a network is made with, and what is refused; nothing is made of what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from net.subnets import AskedSubnet
from sandbox.errors import ConflictError, NotSupportedError, SandboxError, UsageError
from sandbox.events import read_events
from sandbox.network.create import NetworkRequest, create_network
from sandbox.network.record import PREDEFINED, bridge_settings
from sandbox.network.store import all_networks, find_network
from sandbox.record_copies import copy_path, read_copy

if TYPE_CHECKING:
    import sqlite3

    from sandbox.paths import Paths

# what no container could be on is not made
pytestmark = pytest.mark.requires("slirp4netns", "tap", "nft")

ASKED = (AskedSubnet("10.88.0.0/16"),)


def test_a_network_is_recorded_with_its_copy_and_its_event(database: sqlite3.Connection, paths: Paths) -> None:
    made = create_network(database, paths, NetworkRequest("front", subnets=ASKED, labels=(("a", "b"),)))
    network = find_network(database, "front")
    assert (network.id, network.subnet4, network.gateway4, network.chosen4) == (
        made.id, "10.88.0.0/16", "10.88.0.1", True,
    )  # fmt: skip
    copy = read_copy(copy_path(paths.data_root, "network", made.id))
    assert copy is not None
    assert copy["name"] == "front"
    (event,) = [happened.event for happened in read_events(database)]
    assert (event.kind, event.action, event.actor, dict(event.attributes)) == (
        "network", "create", made.id, {"name": "front", "type": "bridge"},
    )  # fmt: skip


def test_the_first_pool_is_kept_for_the_default_network(database: sqlite3.Connection, paths: Paths) -> None:
    create_network(database, paths, NetworkRequest("one"))
    create_network(database, paths, NetworkRequest("two", ipv6=True))
    bridge, one, two = (find_network(database, name) for name in ("bridge", "one", "two"))
    assert bridge.subnet4 < one.subnet4 < two.subnet4
    assert two.subnet6.startswith("fd")
    assert not one.subnet6
    assert not bridge.chosen4


def test_a_network_may_have_ipv6_alone(database: sqlite3.Connection, paths: Paths) -> None:
    create_network(database, paths, NetworkRequest("six", ipv4=False, ipv6=True, subnets=(AskedSubnet("fd00:9::/64"),)))
    six = find_network(database, "six")
    assert (six.subnet4, six.subnet6, six.chosen6) == ("", "fd00:9::/64", True)


def test_options_reach_the_bridge(database: sqlite3.Connection, paths: Paths) -> None:
    options = (("com.docker.network.driver.mtu", "1400"), ("com.docker.network.bridge.enable_icc", "false"))
    made = create_network(
        database, paths, NetworkRequest("slow", options=(*options, ("what.ever", "x")), internal=True)
    )
    settings = bridge_settings(find_network(database, made.id))
    assert (settings.name, settings.mtu, settings.internal, settings.icc) == (f"br-{made.id[:12]}", 1400, True, False)
    assert made.notes == ("the option what.ever means nothing to the driver bridge",)


@pytest.mark.parametrize(
    ("request_", "kind", "words"),
    [
        (NetworkRequest(""), UsageError, "network name cannot be empty"),
        (NetworkRequest(" a"), UsageError, "invalid network name"),
        (NetworkRequest("container:x"), UsageError, "invalid network name"),
        (NetworkRequest("a\nb"), UsageError, "invalid network name"),
        (NetworkRequest("bridge"), ConflictError, "not permitted on predefined bridge network"),
        (NetworkRequest("default"), ConflictError, "not permitted on predefined default network"),
        (NetworkRequest("taken"), ConflictError, "network with name taken already exists"),
        (NetworkRequest("x", "host"), ConflictError, 'only one instance of "host" network is allowed'),
        (NetworkRequest("x", "macvlan"), NotSupportedError, 'plugin "macvlan" not found'),
        (NetworkRequest("x", ipam_driver="dhcp"), NotSupportedError, 'plugin "dhcp" not found'),
        (NetworkRequest("x", ipv4=False), UsageError, "IPv4 or IPv6 must be enabled"),
        (NetworkRequest("x", ipv4=False, ipv6=True, subnets=ASKED), UsageError, "IPv4 is not enabled"),
        (NetworkRequest("x", ipv6=False, subnets=(AskedSubnet("fd00:9::/64"),)), UsageError, "IPv6 is not enabled"),
        (NetworkRequest("x", subnets=(AskedSubnet("10.99.0.0/16"),)), ConflictError, "Pool overlaps"),
        (NetworkRequest("x", subnets=(AskedSubnet("10.99.5.0/24"),)), ConflictError, "Pool overlaps"),
        (NetworkRequest("x", subnets=(AskedSubnet("10.0.2.0/24"),)), ConflictError, "Pool overlaps"),
        (NetworkRequest("x", subnets=(AskedSubnet("10.88.0.5/16"),)), UsageError, "it should be 10.88.0.0/16"),
        (NetworkRequest("x", subnets=(AskedSubnet("10.88.0.0/16", "10.1.1.1"),)), UsageError, "invalid gateway"),
        (NetworkRequest("x", subnets=(*ASKED, AskedSubnet("10.89.0.0/16"))), UsageError, "multiple subnets"),
        (NetworkRequest("x", options=(("mtu", "5"),)), UsageError, "invalid MTU: 5"),
        (NetworkRequest("x", options=(("mtu", "70000"),)), UsageError, "invalid MTU: 70000"),
        (NetworkRequest("x", subnets=(AskedSubnet("224.1.0.0/16"),)), UsageError, "224.0.0.0/4 are multicast"),
        (NetworkRequest("x", egress=("what",)), UsageError, "invalid egress rule"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_made(
    database: sqlite3.Connection, paths: Paths, request_: NetworkRequest, kind: type[SandboxError], words: str
) -> None:
    create_network(database, paths, NetworkRequest("taken", subnets=(AskedSubnet("10.99.0.0/16"),)))
    with pytest.raises(kind, match=words):
        create_network(database, paths, request_)
    assert {network.name for network in all_networks(database)} == {*PREDEFINED, "taken"}


def test_who_has_a_subnet_is_told_with_one_that_is_free(database: sqlite3.Connection, paths: Paths) -> None:
    create_network(database, paths, NetworkRequest("taken", subnets=(AskedSubnet("10.99.0.0/16"),)))
    with pytest.raises(ConflictError) as caught:
        create_network(database, paths, NetworkRequest("x", subnets=(AskedSubnet("10.99.5.0/24"),)))
    assert caught.value.cause == "10.99.5.0/24 overlaps 10.99.0.0/16 of network taken"
    option, subnet, *_ = caught.value.mend.replace(",", "").split()
    create_network(database, paths, NetworkRequest("x", subnets=(AskedSubnet(subnet),)))
    assert (option, find_network(database, "x").subnet4) == ("--subnet", subnet)


@pytest.mark.parametrize(
    "request_", [NetworkRequest("x", ipv6=True), NetworkRequest("x", subnets=(AskedSubnet("fd00:9::/64"),))]
)
def test_kernel_without_ipv6(
    database: sqlite3.Connection, paths: Paths, request_: NetworkRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.network.create.kernel_has_ipv6", lambda: False)
    with pytest.raises(NotSupportedError) as caught:
        create_network(database, paths, request_)
    assert caught.value.mend == "sandbox doctor ipv6"
    create_network(database, paths, NetworkRequest("four"))
    assert {network.name for network in all_networks(database)} == {*PREDEFINED, "four"}
