"""Names of services: which of their containers are answered, and the single addresses that stand for all."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from net.name_table import NameTable
from net.names import ContainerNames, NamedEndpoint, names_from_plain, names_to_plain
from net.service_names import Found
from net.vips import Vip, read_vips, vip_rules, write_vips

if TYPE_CHECKING:
    from pathlib import Path

FRONT = "id-front"
VIP = Vip("s1", FRONT, "172.18.0.9", ("shop_web", "web"))


def task(last: int, *, serves: bool = True, service: str = "s1") -> ContainerNames:
    endpoint = NamedEndpoint(
        FRONT, "front", f"172.18.0.{last}", "", "172.18.0.0/16", "", (f"web.1.{last}",), False, f"v{last}", service,
        ("shop_web", "Web"), serves,
    )  # fmt: skip
    return ContainerNames((endpoint,))


def found(*addresses: str) -> Found:
    return Found(tuple(map(socket.inet_aton, addresses)), (), True)


@pytest.fixture
def table() -> NameTable:
    table = NameTable(shuffle=lambda several: several.reverse())
    asker = NamedEndpoint(FRONT, "front", "172.18.0.2", "", "172.18.0.0/16", "", ("asker",))
    table.join("asker", ContainerNames((asker,)))
    for last in (3, 4, 5):
        table.join(f"t{last}", task(last))
    return table


def test_the_containers_that_serve_are_answered(table: NameTable) -> None:
    three = found("172.18.0.5", "172.18.0.4", "172.18.0.3")
    for name in ("web", "shop_web", "tasks.web", "web.front"):
        assert table.lookup("asker", name) == three
    table.join("t4", task(4, serves=False))
    assert table.lookup("asker", "web") == found("172.18.0.5", "172.18.0.3")
    # by its own name it is there as before
    assert table.lookup("asker", "web.1.4") == Found((socket.inet_aton("172.18.0.4"),))
    table.leave("t5")
    assert table.lookup("asker", "web") == found("172.18.0.3")
    table.join("t3", task(3, serves=False))
    # a name of which there is nothing, and none of the world's
    assert table.lookup("asker", "web") == found()
    table.leave("t3")
    table.leave("t4")
    assert table.lookup("asker", "web") is None


def test_a_single_address_stands_for_all_before_any_is_there(table: NameTable) -> None:
    table.know_vips([VIP._replace(address4="no address"), VIP])
    assert table.lookup("asker", "web") == table.lookup("asker", "shop_web.front") == found("172.18.0.9")
    assert table.lookup("asker", "tasks.web") == found("172.18.0.5", "172.18.0.4", "172.18.0.3")
    assert table.services.members() == {"172.18.0.9": ("172.18.0.3", "172.18.0.4", "172.18.0.5")}
    table.join("t4", task(4, serves=False))
    # of another service with the same name
    table.join("t5", task(5, service="s2"))
    assert table.services.members() == {"172.18.0.9": ("172.18.0.3",)}
    for last in (3, 4, 5):
        table.leave(f"t{last}")
    assert table.services.members() == {"172.18.0.9": ()}
    assert table.services.networks() == {FRONT: {"172.18.0.9"}}
    assert table.lookup("asker", "web") == found("172.18.0.9")
    assert table.lookup("asker", "tasks.web") == found()
    table.know_vips([])
    assert table.lookup("asker", "web") is None


def test_it_passes_from_process_to_process() -> None:
    names = task(3, serves=False)
    assert names_from_plain(names_to_plain(names)) == names


def test_the_file_of_addresses(tmp_path: Path) -> None:
    path = str(tmp_path / "vips")
    assert read_vips(path) == ()
    assert not write_vips(path, [])
    assert write_vips(path, [VIP])
    assert not write_vips(path, [VIP])
    assert read_vips(path) == (VIP,)
    for text in ("", "{", "[1]", '[["a"]]', '{"a": 1}'):
        (tmp_path / "vips").write_text(text)
        assert read_vips(path) == ()


def test_rules_are_one_transaction() -> None:
    rules = vip_rules({"172.18.0.9": ("172.18.0.3", "172.18.0.4"), "172.18.0.8": ("172.18.0.5",), "172.18.0.7": ()})
    assert "ip daddr 172.18.0.9 dnat to numgen inc mod 2 map { 0 : 172.18.0.3, 1 : 172.18.0.4 }" in rules
    assert "ip daddr 172.18.0.8 dnat to 172.18.0.5" in rules
    # without members the router itself refuses
    assert "daddr 172.18.0.7" not in rules
    assert "172.18.0.7" in rules
    assert "add element" not in vip_rules({})
