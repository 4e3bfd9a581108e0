"""The texts of `--egress`, and what they let a container ask for."""

from __future__ import annotations

import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.egress import (
    ANY_PORT,
    AllowedAddress,
    AllowedName,
    EgressRules,
    combine_egress,
    interface_mark,
    mark_of,
    may_be_admitted,
    parse_egress,
    ports_of,
)
from net.egress_gate import EgressGate
from net.egress_log import destination, read_refusals
from net.errors import NetError
from net.names import ContainerNames, NamedEndpoint


def test_rules_of_several_texts_add_up() -> None:
    rules = parse_egress(["deny", "allow=Example.ORG:443, *.example.net", "allow=example.org:80,example.org,*:8080"])
    assert rules == EgressRules(
        (
            (
                AllowedName("example.org", 443),
                AllowedName("*.example.net", 443),
                AllowedName("example.org", 80),
                AllowedName("*", 8080),
            ),
        )
    )
    assert parse_egress(["deny"]) == parse_egress([]) == EgressRules(((),))


@pytest.mark.parametrize(
    ("item", "address", "port"),
    [
        ("192.0.2.1", "192.0.2.1", 443),
        ("192.0.2.77/24:5432", "192.0.2.0/24", 5432),
        ("10.0.0.0/8:*", "10.0.0.0/8", ANY_PORT),
        ("2001:db8::1", "2001:db8::1", 443),
        ("[2001:DB8::1]:22", "2001:db8::1", 22),
        ("[2001:db8::1]", "2001:db8::1", 443),
        ("[2001:db8:1::]/32:22", "2001:db8::/32", 22),
        ("2001:db8:1::/32", "2001:db8::/32", 443),
    ],
)
def test_addresses_and_subnets(item: str, address: str, port: int) -> None:
    assert parse_egress([f"allow={item}"]) == EgressRules(((),), (AllowedAddress(address, port),))


def test_names_of_other_scripts() -> None:
    assert parse_egress(["allow=bücher.example"]).names == ((AllowedName("xn--bcher-kva.example", 443),),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "allow",
        "allow=",
        "allow=a,,b",
        "block=a",
        "allow=*.*.a",
        "allow=a*.b",
        "allow=a:0",
        "allow=a:65536",
        "allow=a:x",
        "allow=a/24",
        "allow=[::1",
        "allow=::1]",
        "allow=-a.b",
        "allow=a b",
        "allow=192.0.2.1/33",
        "allow=https://a.b",
        "allow=a;b",
        'allow=a"b',
        "allow=" + "x" * 64,
        "allow=" + "a." * 130 + "a",
        "allow=a:²",
    ],
)
def test_other_texts_are_refused_with_the_form(text: str) -> None:
    with pytest.raises(NetError, match="invalid egress rule") as caught:
        parse_egress([text])
    assert caught.value.cause
    assert caught.value.mend


@given(st.text(max_size=30))
def test_any_text_is_a_rule_or_refused(text: str) -> None:
    try:
        rules = parse_egress([f"allow={text}"])
    except NetError:
        return
    for allowed in rules.addresses:
        ipaddress.ip_network(allowed.address)
    for name in rules.names[0]:
        assert set(name.pattern) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.*")


def test_names_that_match() -> None:
    rules = parse_egress(["allow=example.org,example.org:80,*.example.net:22,*.net:*"])
    assert ports_of(rules, "example.org") == {443, 80}
    assert ports_of(rules, "www.example.org") == set()
    assert ports_of(rules, "a.b.example.net") == {ANY_PORT}
    assert ports_of(rules, "example.net") == {ANY_PORT}
    assert ports_of(rules, "badexample.net") == {ANY_PORT}
    assert ports_of(rules, "net") == ports_of(rules, ".net") == ports_of(rules, "") == set()
    # a dot inside a label is written as such by who reads the question
    assert ports_of(parse_egress(["allow=*.example.net"]), "foo\\046example.net") == set()


def test_what_all_sources_allow() -> None:
    rules = combine_egress([
        ["allow=*.example.org:443,*.example.org:22,10.0.0.0/8:443,192.0.2.1:*"],
        ["allow=www.example.org:*,git.example.org:22,10.1.0.0/16:*,192.0.2.0/24:5432"],
    ])  # fmt: skip
    assert ports_of(rules, "www.example.org") == {443, 22}
    assert ports_of(rules, "git.example.org") == {22}
    assert ports_of(rules, "api.example.org") == set()
    assert rules.addresses == (AllowedAddress("10.1.0.0/16", 443), AllowedAddress("192.0.2.1", 5432))
    assert combine_egress([["allow=*:*"], ["deny"]]).names == ((AllowedName("*", ANY_PORT),), ())
    assert ports_of(combine_egress([["allow=*:*"], ["deny"]]), "example.org") == set()


def test_a_subnet_within_another_is_none_of_its_own() -> None:
    rules = combine_egress([["allow=10.1.0.0/16,10.0.0.0/8,10.1.0.0/16:22,10.2.3.4,10.0.0.0/8:80,2001:db8::/32"]])
    assert [f"{address}:{port}" for address, port in rules.addresses] == [
        "10.0.0.0/8:443", "10.1.0.0/16:22", "10.0.0.0/8:80", "2001:db8::/32:443",
    ]  # fmt: skip


def test_marks() -> None:
    assert mark_of("v1a") == 0x5B000000 | 46
    assert interface_mark(mark_of("vzzzz"))
    assert not interface_mark(0x51)
    with pytest.raises(ValueError):
        mark_of("eth0")


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("192.0.2.1", True),
        ("10.0.0.1", True),
        ("127.0.0.1", False),
        ("0.0.0.0", False),
        ("169.254.169.254", False),
        ("10.0.2.2", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("2001:db8::1", True),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("fe80::1", False),
        ("ff02::1", False),
    ],
)
def test_a_name_leads_to_no_address_of_this_machine(address: str, may: bool) -> None:
    assert may_be_admitted(ipaddress.ip_address(address).packed) == may


class _Nft:
    """Takes the commands of a gate."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refuses = False

    def run(self, text: str) -> None:
        if self.refuses:
            raise NetError("no")
        self.texts.append(text)


ENDPOINT = NamedEndpoint("id", "front", "172.30.0.2", names=("web",), interface="v1a")
NAMES = ContainerNames((ENDPOINT,), egress=(("allow=example.org,192.0.2.9",),))
ADDRESS = socket.inet_aton("192.0.2.1")


def test_gate_admits_once_for_as_long_as_an_answer_lasts() -> None:
    nft, now = _Nft(), [0.0]
    gate = EgressGate(nft.run, lambda: now[0])
    gate.restrict("web", NAMES)
    gate.restrict("web", NAMES)
    assert len(nft.texts) == 1
    assert (gate.may_ask("web", "example.org"), gate.may_ask("web", "example.net")) == (True, False)
    assert gate.admit("web", "example.org", (ADDRESS, socket.inet_aton("127.0.0.1")), 10)
    assert "192.0.2.1 . 443 timeout 90s" in nft.texts[-1]
    assert "127.0.0.1" not in nft.texts[-1]
    now[0] = 20.0
    assert gate.admit("web", "example.org", (ADDRESS,), 10)
    assert len(nft.texts) == 2
    now[0] = 31.0
    assert gate.admit("web", "example.org", (ADDRESS,), 300)
    assert "timeout 330s" in nft.texts[-1]
    gate.release("web")
    gate.release("web")
    assert nft.texts[-1].startswith('delete element bridge sandbox_egress sandbox_restricted { "v1a"')
    assert gate.may_ask("web", "example.net")


def test_gate_leaves_an_address_of_the_rules_alone() -> None:
    nft = _Nft()
    gate = EgressGate(nft.run)
    gate.restrict("web", NAMES)
    # the name's answer must not put an end to what holds for ever
    assert gate.admit("web", "example.org", (socket.inet_aton("192.0.2.9"),), 10)
    assert len(nft.texts) == 1


def test_gate_follows_networks_and_fails_closed() -> None:
    nft = _Nft()
    gate = EgressGate(nft.run)
    gate.restrict("web", NAMES)
    gate.admit("web", "example.org", (ADDRESS,), 10)
    gate.restrict("web", NAMES._replace(endpoints=(ENDPOINT._replace(interface="v1b"),)))
    # what was allowed goes, in one transaction with what comes
    before, _, after = nft.texts[-1].partition("table bridge")
    assert 'delete element bridge sandbox_egress sandbox_restricted { "v1a"' in before
    assert "delete element inet sandbox_egress sandbox_admitted4 { 0x5b00002e . 192.0.2.1 . 443 }" in before
    assert 'add element bridge sandbox_egress sandbox_restricted { "v1b"' in after
    assert gate.container_of(mark_of("v1b")) == "web"
    assert gate.container_of(mark_of("v1a")) is None
    nft.refuses = True
    assert not gate.admit("web", "example.org", (ADDRESS,), 10)
    with pytest.raises(NetError):
        gate.restrict("new", NAMES)
    assert gate.admit("somebody", "example.org", (ADDRESS,), 10)


def test_gate_holds_who_left_until_its_wires_are_gone() -> None:
    nft, wires = _Nft(), {"v1a"}
    gate = EgressGate(nft.run, is_there=wires.__contains__)
    gate.restrict("web", NAMES)
    gate.release("web")
    # its monitor was lost, and comes again: nothing was opened meanwhile
    assert len(nft.texts) == 1
    gate.restrict("web", NAMES)
    assert len(nft.texts) == 1
    assert not gate.may_ask("web", "example.net")
    gate.release("web")
    wires.clear()
    gate.release("somebody")
    assert nft.texts[-1].startswith("delete element bridge")
    gate.restrict("web", NAMES)
    gate.restrict("web", NAMES._replace(egress=()))
    assert nft.texts[-1].startswith("delete element bridge")
    assert gate.may_ask("web", "example.net")


def test_gate_holds_a_limit_of_addresses() -> None:
    nft = _Nft()
    gate = EgressGate(nft.run)
    gate.restrict("web", NAMES)
    many = [bytes((100, 0, high, low)) for high in range(20) for low in range(250)]
    assert gate.admit("web", "example.org", many[:3000], 10)
    assert not gate.admit("web", "example.org", many, 10)
    assert gate.admit("web", "example.org", many[:3000], 10)


def test_packets_of_the_log() -> None:
    four = bytes((0x45, *(0,) * 8, 6, 0, 0)) + b"\0" * 4 + ADDRESS + struct.pack(">HH", 4000, 80)
    six = b"\x60" + b"\0" * 5 + b"\x11\x40" + b"\0" * 16 + ipaddress.ip_address("2001:db8::1").packed + b"\0\0\0\x35"
    assert destination(four) == "192.0.2.1:80/tcp"
    assert destination(six) == "[2001:db8::1]:53/udp"
    assert destination(four[:9] + b"\1" + four[10:]) == "192.0.2.1/icmp"


@given(st.binary(max_size=80))
def test_octets_of_all_kinds_are_no_refusal(data: bytes) -> None:
    destination(data)
    list(read_refusals(data, lambda mark: None))
