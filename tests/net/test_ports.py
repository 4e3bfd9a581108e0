"""Port texts: go-connections' tables, and what they leave out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.errors import NetError
from net.port_texts import render_ports, split_protocol
from net.ports import (
    PortMapping,
    PortRange,
    check_conflicts,
    parse_exposed,
    parse_port_number,
    parse_port_range,
    parse_published,
    publish_all,
)
from tests.needs import vectors_directory


def _table(name: str) -> list[Any]:
    path = vectors_directory() / "ports.json"
    if not path.is_file():
        return []
    rows = json.loads(path.read_text())["cases"][name]
    return [pytest.param(row, id=row.get("doc") or row.get("name")) for row in rows]


@pytest.mark.parametrize("case", _table("number"))
def test_number(case: dict[str, Any]) -> None:
    if "expErr" in case:
        with pytest.raises(NetError):
            parse_port_number(case["input"])
    else:
        assert parse_port_number(case["input"]) == case["exp"]


@pytest.mark.parametrize("case", _table("split_proto"))
def test_split_protocol(case: dict[str, Any]) -> None:
    assert split_protocol(case.get("input", "")) == (case.get("expPort", ""), case.get("expProto", ""))


@pytest.mark.parametrize("case", _table("range"))
def test_range(case: dict[str, Any]) -> None:
    if "expErr" in case:
        with pytest.raises(NetError) as caught:
            parse_port_range(case.get("input", ""))
        assert caught.value.message == case["expErr"]
    else:
        assert parse_port_range(case.get("input", "")) == PortRange(case.get("expBegin", 0), case.get("expEnd", 0))


@pytest.mark.parametrize("case", _table("ipv6"))
def test_ipv6(case: dict[str, Any]) -> None:
    expected = [
        (row["Binding"]["HostIP"], int(row["Binding"]["HostPort"] or 0), row["Port"]) for row in case["expected"]
    ]
    found = parse_published(case["spec"])
    assert [(m.host_ip, m.host_port, f"{m.container_port}/{m.protocol}") for m in found] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [PortMapping("", 0, 80)]),
        ("8080:80", [PortMapping("", 8080, 80)]),
        ("0:80", [PortMapping("", 0, 80)]),
        (":80", [PortMapping("", 0, 80)]),
        ("127.0.0.1:8080:80/UDP", [PortMapping("127.0.0.1", 8080, 80, "udp")]),
        ("127.0.0.1::80", [PortMapping("127.0.0.1", 0, 80)]),
        ("8080-8081:80-81", [PortMapping("", 8080, 80), PortMapping("", 8081, 81)]),
        ("80-81", [PortMapping("", 0, 80), PortMapping("", 0, 81)]),
        ("8000-8010:80", [PortMapping("", 8000, 80, "tcp", 8010)]),
        ("published=8080,target=80,protocol=udp", [PortMapping("", 8080, 80, "udp")]),
        ("target=80", [PortMapping("", 0, 80)]),
        ("80:80,proxy-protocol", [PortMapping("", 80, 80, proxy_protocol=1)]),
        ("[::1]:80:80/tcp,proxy-protocol=v2", [PortMapping("::1", 80, 80, proxy_protocol=2)]),
        ("proxy-protocol=v1,published=8080,target=80", [PortMapping("", 8080, 80, proxy_protocol=1)]),
    ],
)
def test_published(text: str, expected: list[PortMapping]) -> None:
    assert list(parse_published(text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "8080:",
        "http:80",
        "8080:http",
        "8080:80/icmp",
        "8080:80/sctp",
        "70000:80",
        "8080:0",
        "0-10:80-90",
        "8080-8090:80-81",
        "8090-8080:80",
        "localhost:8080:80",
        "300.1.1.1:8080:80",
        "01.2.3.4:8080:80",
        "[::1:8080:80",
        "-1:80",
        "8_0:80",
        "٣:80",
        "published=1,target=2,host=3",
        "80:80,proxy-protocol=v3",
        "80:80/udp,proxy-protocol",
        "80:80,proxy-protocols",
        "80:80,",
        "a=",
        "8080 : 80",
        "9" * 10000,
    ],
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(NetError):
        parse_published(text)


@given(st.text(alphabet="0123456789:-/[].tcpud= ,", max_size=40))
def test_any_text_gives_ports_or_an_error(text: str) -> None:
    try:
        mappings = parse_published(text)
    except NetError:
        return
    assert all(0 < mapping.container_port < 65536 and 0 <= mapping.host_port < 65536 for mapping in mappings)


def test_exposed() -> None:
    assert parse_exposed("80") == ("80/tcp",)
    assert parse_exposed("53-54/UDP") == ("53/udp", "54/udp")
    for text in ("", "x", "80:80", "80/icmp", "9-8"):
        with pytest.raises(NetError):
            parse_exposed(text)


def test_publish_all_leaves_out_what_is_published() -> None:
    assert publish_all(("80/tcp", "443", "53/udp"), (PortMapping("", 8080, 80),)) == (
        PortMapping("", 0, 443),
        PortMapping("", 0, 53, "udp"),
    )


@pytest.mark.parametrize(
    ("texts", "meets"),
    [
        (("8080:80", "8080:81"), True),
        (("8080:80", "127.0.0.1:8080:80"), True),
        (("127.0.0.1:8080:80", "127.0.0.2:8080:80"), False),
        (("0.0.0.0:8080:80", "[::]:8080:80"), False),
        (("8080:80", "[::1]:8080:80"), True),
        (("[::]:8080:80", "[::1]:8080:80"), True),
        (("8080:80/tcp", "8080:80/udp"), False),
        (("80", "81"), False),
        (("8000-8010:80", "8000-8010:80"), False),
        (("8000-8003:80-83", "8003:90"), True),
    ],
)
def test_conflicts(texts: tuple[str, ...], meets: bool) -> None:
    mappings = [mapping for text in texts for mapping in parse_published(text)]
    if meets:
        with pytest.raises(NetError, match="asked for twice"):
            check_conflicts(mappings)
    else:
        check_conflicts(mappings)


@pytest.mark.parametrize(
    ("published", "exposed", "shown"),
    [
        ((), (), ""),
        ((), ("80/tcp", "81/tcp", "443/tcp", "80/udp"), "80-81/tcp, 443/tcp, 80/udp"),
        (("0.0.0.0:8080:80",), ("80/tcp",), "0.0.0.0:8080->80/tcp"),
        (("0.0.0.0:8080-8081:80-81",), (), "0.0.0.0:8080->80/tcp, 0.0.0.0:8081->81/tcp"),
        (("0.0.0.0:80-81:80-81",), (), "0.0.0.0:80-81->80-81/tcp"),
        (("[::]:80-81:80-81",), (), "[::]:80-81->80-81/tcp"),
        (
            ("0.0.0.0:8080:80", "0.0.0.0:8443:443", "[::]:8080:80", "[::]:8443:443"),
            (),
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 0.0.0.0:8443->443/tcp, [::]:8443->443/tcp",
        ),
        (
            ("0.0.0.0:80:80", "0.0.0.0:443:443", "[::]:80:80", "[::]:443:443", "127.0.0.1:90:80"),
            ("81/tcp",),
            "0.0.0.0:80->80/tcp, [::]:80->80/tcp, 0.0.0.0:443->443/tcp, [::]:443->443/tcp, 81/tcp, "
            "127.0.0.1:90->80/tcp",
        ),
        (("0.0.0.0:8080:80", "0.0.0.0:8082:81"), (), "0.0.0.0:8080->80/tcp, 0.0.0.0:8082->81/tcp"),
        (("0.0.0.0:8080:80",), ("443/tcp",), "443/tcp, 0.0.0.0:8080->80/tcp"),
        (("127.0.0.1:53:53/udp", "127.0.0.1:53:53/tcp"), (), "127.0.0.1:53->53/tcp, 127.0.0.1:53->53/udp"),
    ],
)
def test_render(published: tuple[str, ...], exposed: tuple[str, ...], shown: str) -> None:
    assert render_ports([mapping for text in published for mapping in parse_published(text)], exposed) == shown
