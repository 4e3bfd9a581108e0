"""resolv.conf and hosts of a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from net.errors import NetError
from net.resolver import (
    Resolver,
    bridge_resolver,
    container_resolver,
    is_followed,
    parse_resolver,
    read_host_resolver,
    render_hosts,
    render_resolver,
)

if TYPE_CHECKING:
    from pathlib import Path

HOST = """# made by hand
; a comment
nameserver 192.0.2.1
nameserver 192.0.2.2 trailing words
nameserver
domain old.example
search corp.example example
options edns0
options ndots:2
sortlist 130.155.160.0
"""


def test_parse() -> None:
    assert parse_resolver(HOST) == Resolver(
        ("192.0.2.1", "192.0.2.2"), ("corp.example", "example"), ("edns0", "ndots:2")
    )


def test_private_network_asks_slirp_first_then_the_hosts_others() -> None:
    found = container_resolver(parse_resolver(HOST), Resolver())
    assert found.servers == ("10.0.2.3", "192.0.2.2")
    assert found.search == ("corp.example", "example")
    assert found.options == ("edns0", "ndots:2")


def test_loopback_and_scoped_servers_never_reach_a_container() -> None:
    host = Resolver(("127.0.0.53", "::1", "0.0.0.0", "fe80::1%eth0"))
    assert container_resolver(host, Resolver()).servers == ("10.0.2.3",)


def test_file_that_slirp_cannot_see() -> None:
    assert container_resolver(Resolver(("192.0.2.1",)), Resolver(), followed=False).servers == ("192.0.2.1",)
    assert container_resolver(Resolver(("127.0.0.1",)), Resolver(), followed=False).servers == ("10.0.2.3",)


def test_is_followed(tmp_path: Path) -> None:
    link = tmp_path / "resolv.conf"
    link.symlink_to("/run/systemd/resolve/stub-resolv.conf")
    assert is_followed(str(link))
    link.unlink()
    link.symlink_to(tmp_path / "wsl")
    assert not is_followed(str(link))


def test_host_network_keeps_the_hosts_servers() -> None:
    assert container_resolver(Resolver(("127.0.0.53",)), Resolver(), private=False).servers == ("127.0.0.53",)


def test_container_on_a_bridge_has_one_server() -> None:
    host = Resolver(("192.0.2.1", "192.0.2.2"), ("corp.example",), ("rotate", "edns0"))
    assert bridge_resolver(host, Resolver(), "127.0.0.11") == Resolver(
        ("127.0.0.11",), ("corp.example",), ("edns0", "ndots:0")
    )
    asked = Resolver(("1.1.1.1",), (".",), ("ndots:2",))
    assert bridge_resolver(host, asked, "172.17.0.1") == Resolver(("172.17.0.1",), (), ("ndots:2",))


def test_what_was_asked_for_wins() -> None:
    asked = Resolver(("1.1.1.1",), ("a.example",), ("timeout:1",))
    assert container_resolver(parse_resolver(HOST), asked) == asked
    assert container_resolver(parse_resolver(HOST), Resolver(search=(".",))).search == ()


def test_stub_is_looked_behind(tmp_path: Path) -> None:
    stub, real = tmp_path / "resolv.conf", tmp_path / "real.conf"
    stub.write_text("nameserver 127.0.0.53\nsearch example\n")
    real.write_text("nameserver 192.0.2.9\n")
    host = read_host_resolver(str(stub), str(real))
    assert host == Resolver(("127.0.0.53", "192.0.2.9"), ("example",))
    assert container_resolver(host, Resolver()).servers == ("10.0.2.3", "192.0.2.9")
    assert read_host_resolver(str(tmp_path / "none"), str(real)) == Resolver()


def test_at_most_three_servers() -> None:
    host = Resolver(tuple(f"192.0.2.{n}" for n in range(1, 9)))
    assert len(container_resolver(host, Resolver()).servers) == 3


def test_render() -> None:
    text = render_resolver(Resolver(("10.0.2.3",), ("a", "b"), ("ndots:1",)))
    assert text == "nameserver 10.0.2.3\nsearch a b\noptions ndots:1\n"
    assert render_resolver(Resolver()) == ""


def test_hosts() -> None:
    text = render_hosts(
        ("web", "web.example"), ("db:10.1.2.3", "six=[2001:db8::1]", "up:host-gateway"), gateway="10.9.9.9"
    )
    assert text.startswith("127.0.0.1\tlocalhost\n::1\t")
    assert text.endswith("10.1.2.3\tdb\n2001:db8::1\tsix\n10.9.9.9\tup\n10.0.2.100\tweb web.example\n")


def test_hosts_without_a_way_to_the_host() -> None:
    with pytest.raises(NetError, match="host's address"):
        render_hosts(("web",), ("up:host-gateway",))
