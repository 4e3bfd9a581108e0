"""Messages against the examples of the format's own documentation, and what is no message."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.api.buildkit.protobuf import Field, Table, decode, encode
from sandbox.api.buildkit.rpc_errors import RpcError
from sandbox.api.buildkit.schema import PACKET, SOLVE_REQUEST, STATUS_RESPONSE

_INNER = Table({1: Field("a", "int")})
_ALL = Table(
    {
        1: Field("a", "int"), 2: Field("b", "string"), 3: Field("c", _INNER), 4: Field("d", "int", "many"),
        5: Field("e", "bytes"), 6: Field("f", "bool"), 7: Field("g", "string", "map"), 8: Field("h", _INNER, "map"),
        9: Field("i", _INNER, "many"),
    }
)  # fmt: skip
_EMPTY = {"a": 0, "b": "", "c": None, "d": [], "e": b"", "f": False, "g": {}, "h": {}, "i": []}


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        ({}, ""),
        ({"a": 0, "b": "", "f": False}, ""),
        ({"a": 150}, "089601"),
        ({"b": "testing"}, "120774657374696e67"),
        ({"c": {"a": 150}}, "1a03089601"),
        ({"c": {"a": 0}}, "1a00"),
        ({"d": [1, 0, 3]}, "200120002003"),
        ({"a": -2}, "08feffffffffffffffff01"),
        ({"f": True}, "3001"),
        ({"g": {"k": "v"}}, "3a060a016b120176"),
        ({"i": [{"a": 1}, {"a": 0}]}, "4a0208014a00"),
    ],
)
def test_the_wire(message: dict[str, object], wire: str) -> None:
    assert encode(_ALL, message).hex() == wire
    assert decode(_ALL, bytes.fromhex(wire)) == {**_EMPTY, **message}


def test_fields_of_a_newer_protocol_are_passed_over() -> None:
    # field 15 as each of the wire's types, around field 1
    data = bytes.fromhex("780108017900000000000000007a02ffff7d00000000")
    assert decode(_INNER, data) == {"a": 1}


def test_an_entry_of_a_map_may_lack_its_message() -> None:
    assert decode(_ALL, bytes.fromhex("42030a016b"))["h"] == {"k": {"a": 0}}


@pytest.mark.parametrize(
    "wire",
    ["08", "0880", "12ff", "1203aa", "0b", "0f", "00", "08ffffffffffffffffffff01", "0a0161", "1001", "1201ff"],
)  # fmt: skip
def test_what_is_no_message(wire: str) -> None:
    with pytest.raises(RpcError):
        decode(_ALL, bytes.fromhex(wire))


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for table in (_ALL, SOLVE_REQUEST, STATUS_RESPONSE, PACKET):
        with suppress(RpcError):
            decode(table, data)
