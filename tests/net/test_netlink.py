"""rtnetlink by hand: what is encoded is read back, and a batch tells of the first message that was refused."""

from __future__ import annotations

import errno
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.link_messages import delete_link, get_link, get_links, new_bridge
from net.netlink import (
    NLA_F_NESTED,
    NetlinkError,
    Rtnetlink,
    attribute,
    attributes,
    nested,
    number,
    open_rtnetlink,
    text,
)
from net.syscalls import CLONE_NEWNET, unshare
from tests.net.bridge_containers import run_in_user_namespace

KINDS = st.integers(0, NLA_F_NESTED - 1)


@given(st.dictionaries(KINDS, st.binary(max_size=300), max_size=8))
def test_attributes_are_read_as_written(values: dict[int, bytes]) -> None:
    row = b"".join(attribute(kind, value) for kind, value in values.items())
    assert len(row) % 4 == 0
    assert attributes(row) == values
    assert attributes(nested(7, row))[7] == row


@given(st.binary(max_size=200))
def test_any_bytes_are_read_to_an_end(data: bytes) -> None:
    assert sum(4 + len(value) for value in attributes(data).values()) <= len(data) + 3


def test_texts_and_numbers() -> None:
    assert text(3, "eth0") == (9).to_bytes(2, sys.byteorder) + (3).to_bytes(2, sys.byteorder) + b"eth0\0" + bytes(3)
    assert attributes(number(4, 65520)) == {4: (65520).to_bytes(4, sys.byteorder)}


@pytest.mark.requires("userns")
def test_batch_tells_of_the_first_that_is_refused() -> None:
    told = run_in_user_namespace(_batch)
    assert told["code"] == errno.EEXIST
    assert told["message"] == "cannot make the bridge br-1"
    assert told["made"] == ["br-1", "br-2", "lo"], "the kernel goes on after a refusal"
    assert told["tolerated"] == ["br-2", "lo"]
    assert told["nothing"] == []
    assert told["handed on"] == 2


def _batch() -> dict[str, Any]:
    unshare(CLONE_NEWNET)
    routing = open_rtnetlink()
    first, second = (new_bridge(f"br-{n}", mtu=1500, mac=f"02:42:00:00:00:0{n}", group=0) for n in (1, 2))
    told: dict[str, Any] = {}
    routing.send()
    try:
        routing.send(first, first, second, second)
    except NetlinkError as error:
        told |= {"code": error.code, "message": error.message}
    told["made"] = _names()
    # the socket is in step again: each answer belongs to what was asked
    routing.send(delete_link("br-1"), delete_link("br-1"))
    told["tolerated"] = _names()
    told["nothing"] = routing.ask(get_link("br-1"))
    other = Rtnetlink.from_fd(routing.detach())
    told["handed on"] = len(other.ask(get_links()))
    for _twice in range(2):
        other.close()
    return told


def _names() -> list[str]:
    with open("/proc/net/dev") as file:
        return sorted(line.partition(":")[0].strip() for line in file if ":" in line)
