"""Who sees which name."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from net.name_table import NameTable
from net.names import ContainerNames, NamedEndpoint, names_from_plain, names_to_plain
from net.service_names import Found


def _endpoint(network: str, last: int, *names: str, address6: str = "") -> NamedEndpoint:
    third = {"front": 18, "back": 19}[network]
    return NamedEndpoint(
        f"id-{network}", network, f"172.{third}.0.{last}", address6, f"172.{third}.0.0/16", "fd00:1::/64", names
    )


def _found(*addresses: str) -> Found:
    return Found(tuple(map(socket.inet_aton, addresses)))


@pytest.fixture
def table() -> NameTable:
    table = NameTable(shuffle=lambda several: several.reverse())
    table.join("web", ContainerNames((_endpoint("front", 2, "web", "0123456789ab", "api"),)))
    table.join("two", ContainerNames((_endpoint("front", 3, "two", "api"), _endpoint("back", 3, "two"))))
    table.join("db", ContainerNames((_endpoint("back", 2, "db", "Postgres", "api"),)))
    return table


def test_names_of_the_networks_that_the_asker_is_on(table: NameTable) -> None:
    assert table.lookup("web", "web") == _found("172.18.0.2")
    assert table.lookup("web", "0123456789ab") == _found("172.18.0.2")
    assert table.lookup("web", "db") is None
    assert table.lookup("two", "db") == table.lookup("two", "postgres") == _found("172.19.0.2")
    assert table.lookup("stranger", "web") is None


def test_name_of_several_gives_all_in_turn(table: NameTable) -> None:
    assert table.lookup("web", "api") == _found("172.18.0.3", "172.18.0.2")
    assert table.lookup("web", "tasks.api") == _found("172.18.0.3", "172.18.0.2")
    # the asker's first network that has it
    assert table.lookup("two", "api") == _found("172.18.0.3", "172.18.0.2")
    assert table.lookup("db", "api") == _found("172.19.0.2")


def test_name_with_its_network(table: NameTable) -> None:
    assert table.lookup("two", "api.back") == _found("172.19.0.2")
    assert table.lookup("two", "two.front") == _found("172.18.0.3")
    assert table.lookup("web", "db.back") is None
    assert table.lookup("web", "nobody.front") is None


def test_pointers(table: NameTable) -> None:
    assert table.pointer("two", "2.0.19.172.in-addr.arpa") == "db.back"
    assert table.pointer("two", "3.0.18.172.in-addr.arpa") == "two.front"
    # nobody's, of the asker's network; of another network; not an address
    assert table.pointer("web", "77.0.18.172.in-addr.arpa") == ""
    assert table.pointer("web", "2.0.19.172.in-addr.arpa") is None
    assert table.pointer("web", "8.8.8.8.in-addr.arpa") is None
    assert table.pointer("web", "web") is None


def test_second_version_of_addresses(table: NameTable) -> None:
    table.join("six", ContainerNames((_endpoint("front", 6, "six", address6="fd00:1::6"),)))
    six = socket.inet_pton(socket.AF_INET6, "fd00:1::6")
    assert table.lookup("web", "six") == Found((socket.inet_aton("172.18.0.6"),), (six,))
    assert table.pointer("web", ".".join("6" + "0" * 23 + "1000" + "00df") + ".ip6.arpa") == "six.front"
    assert table.asker_of("fd00:1::6%br-1") == "six"


def test_leaving_takes_every_name_away(table: NameTable) -> None:
    assert table.asker_of("172.19.0.3") == "two"
    table.leave("two")
    table.leave("two")
    assert table.lookup("web", "api") == _found("172.18.0.2")
    assert table.lookup("web", "two") is None
    assert table.asker_of("172.19.0.3") is None
    for container in list(table.containers()):
        table.leave(container)
    empty = NameTable(shuffle=table._shuffle)
    assert vars(table.services) == vars(empty.services)
    table.services = empty.services
    assert vars(table) == vars(empty)


def test_joining_again_replaces(table: NameTable) -> None:
    table.join("two", ContainerNames((_endpoint("back", 9, "second"),)))
    assert table.lookup("web", "two") is None
    assert table.lookup("db", "second") == _found("172.19.0.9")


def test_address_that_is_none_changes_nothing(table: NameTable) -> None:
    with pytest.raises(ValueError, match="nonsense"):
        table.join("two", ContainerNames((_endpoint("back", 3, "two")._replace(address4="nonsense"),)))
    assert table.lookup("web", "two") == _found("172.18.0.3")
    assert table.asker_of("nonsense") is None


def test_names_of_one_container_alone(table: NameTable) -> None:
    table.join("db", ContainerNames((), own=(("host.sandbox.internal", "172.19.0.1"),)))
    assert table.lookup("db", "host.sandbox.internal") == _found("172.19.0.1")
    assert table.lookup("two", "host.sandbox.internal") is None


def test_links_are_seen_by_who_has_them_alone(table: NameTable) -> None:
    two = table.names_of("two")
    assert two is not None
    table.join("two", two._replace(links=(("Database", "db"), ("gone", "nobody"))))
    assert table.lookup("two", "database") == table.lookup("two", "db") == _found("172.19.0.2")
    assert table.lookup("two", "gone") is None
    assert table.lookup("db", "database") is None


def test_plain_form() -> None:
    names = ContainerNames(
        (_endpoint("front", 2, "web", address6="fd00:1::2"),), ("192.0.2.1",), (("a", "10.0.0.1"),), (("deny",),),
        (("alias", "db"),),
    )  # fmt: skip
    plain = json.loads(json.dumps(names_to_plain(names)))
    assert names_from_plain(plain) == names
    plain["endpoints"][0]["of a later version"] = 1
    assert names_from_plain(plain) == names


@pytest.mark.parametrize("broken", [{}, {"endpoints": 3}, {"endpoints": [{}]}, {"endpoints": [], "servers": [1]}, []])
def test_another_form_is_refused(broken: Any) -> None:
    with pytest.raises(ValueError):
        names_from_plain(broken)
