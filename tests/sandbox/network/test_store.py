"""How words find networks, and what goes when."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from sandbox.errors import ConflictError, NotFoundError, SandboxError
from sandbox.network.document import describe_network
from sandbox.network.removal import prune_networks, remove_network, used_networks
from sandbox.network.store import all_networks, endpoints_on, find_network, insert_network
from sandbox.transactions import transaction
from sandbox.values import EndpointRequest
from tests.sandbox.network.conftest import DEAD, a_guest, a_network, started

if TYPE_CHECKING:
    import sqlite3

    from sandbox.network.record import Network
    from sandbox.paths import Paths

MINE = EndpointRequest("mine")


def test_three_networks_are_always_there(database: sqlite3.Connection) -> None:
    assert [(network.name, network.driver) for network in all_networks(database)] == [
        ("bridge", "bridge"), ("host", "host"), ("none", "null"),
    ]  # fmt: skip
    assert all(len(bytes.fromhex(network.id)) == 32 for network in all_networks(database))


def test_a_network_is_found_by_name_by_id_and_by_prefix(database: sqlite3.Connection, network: Network) -> None:
    for word in ("mine", network.id, network.id[:12]):
        assert find_network(database, word) == network
    a_network(database, "twin", id=network.id[:40] + "f" * 24, subnet4="172.19.0.0/16", gateway4="172.19.0.1")
    with pytest.raises(SandboxError, match="is ambiguous"):
        find_network(database, network.id[:12])
    with pytest.raises(NotFoundError, match=r"^network min not found$") as unknown:
        find_network(database, "min")
    assert unknown.value.near == "mine"


def test_no_mode_is_offered_for_a_network_and_no_removal_of_what_stays(database: sqlite3.Connection) -> None:
    """`network rm none` for "nope" would be the one command that mends nothing."""
    for word, near in (("nope", ""), ("hots", ""), ("bridgs", "bridge")):
        with pytest.raises(NotFoundError) as unknown:
            find_network(database, word)
        assert unknown.value.near == near
        with pytest.raises(NotFoundError) as unknown:
            remove_network(database, word)
        assert unknown.value.near == ""


def test_a_name_is_given_once(database: sqlite3.Connection, network: Network) -> None:
    with pytest.raises(ConflictError, match="network with name mine already exists"), transaction(database):
        insert_network(database, network._replace(id="0" * 64))


@pytest.mark.parametrize("name", ["bridge", "host", "none"])
def test_those_always_there_cannot_be_removed(database: sqlite3.Connection, name: str) -> None:
    with pytest.raises(ConflictError, match=f"{name} is a pre-defined network and cannot be removed"):
        remove_network(database, name)


def test_a_network_with_somebody_on_it_stays(database: sqlite3.Connection, network: Network) -> None:
    guest = a_guest(database, MINE)
    started(database, guest)
    with pytest.raises(ConflictError) as used:
        remove_network(database, "mine")
    assert used.value.message == (
        f'error while removing network: network mine has active endpoints (name:"{guest.name}" id:"{guest.id[:12]}")'
    )
    assert find_network(database, "mine") == network._replace(last4="172.18.0.2")


def test_one_that_died_there_is_in_nobodys_way(database: sqlite3.Connection, network: Network) -> None:
    started(database, a_guest(database, MINE, claim=DEAD))
    remove_network(database, "mine")
    assert database.execute("SELECT count(*) FROM endpoint").fetchone() == (0,)


def test_a_prune_leaves_what_a_container_will_want(
    database: sqlite3.Connection, network: Network, paths: Paths
) -> None:
    a_network(database, "unused", subnet4="172.19.0.0/16", gateway4="172.19.0.1", labels={"keep": ""})
    a_network(database, "other", subnet4="172.20.0.0/16", gateway4="172.20.0.1")
    a_guest(database, MINE)
    assert used_networks(database) == {"mine"}
    assert prune_networks(paths, lambda one: "keep" not in one.labels) == ("other",)
    assert {one.name for one in all_networks(database)} == {"bridge", "host", "none", "mine", "unused"}


def test_the_document_shows_who_is_there(database: sqlite3.Connection) -> None:
    both = a_network(
        database, subnet6="fd00:5::/64", gateway6="fd00:5::1", auxiliary={"a": "172.18.0.9"}, internal=True
    )
    guest = a_guest(database, MINE)
    (endpoint,) = started(database, guest)
    document = describe_network(both, endpoints_on(database, both.id), {guest.id: "web"})
    assert document["IPAM"]["Config"] == [
        {"Subnet": "172.18.0.0/16", "Gateway": "172.18.0.1", "AuxiliaryAddresses": {"a": "172.18.0.9"}},
        {"Subnet": "fd00:5::/64", "Gateway": "fd00:5::1"},
    ]
    assert document["Internal"]
    assert document["EnableIPv6"]
    assert document["Containers"] == {
        guest.id: {
            "Name": "web",
            "EndpointID": endpoint.id,
            "MacAddress": "02:42:ac:12:00:02",
            "IPv4Address": "172.18.0.2/16",
            "IPv6Address": "fd00:5::2/64",
        }
    }
