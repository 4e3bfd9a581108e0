"""The API as bytes: replies whole, in pieces, cut off and wrong."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from net.errors import NetError
from net.ports import Forward
from net.slirp_protocol import (
    HostForward,
    ReplyReader,
    SlirpRefusedError,
    add_hostfwd_request,
    decode_forwards,
    decode_id,
    encode_request,
)


def _read(*pieces: bytes) -> dict[str, object]:
    reader = ReplyReader()
    for piece in pieces:
        reader.feed(piece)
    return reader.result()


def test_request() -> None:
    assert json.loads(add_hostfwd_request(Forward("127.0.0.1", 8080, "tcp"), 80)) == {
        "execute": "add_hostfwd",
        "arguments": {
            "proto": "tcp",
            "host_addr": "127.0.0.1",
            "host_port": 8080,
            "guest_addr": "10.0.2.100",
            "guest_port": 80,
        },
    }


def test_request_that_slirp_would_cut_off() -> None:
    with pytest.raises(NetError, match="too long"):
        encode_request("x", {"y": "z" * 5000})


def test_reply_in_pieces() -> None:
    assert decode_id(_read(b'{"return": {"i', b'd": 42}}')) == 42


def test_refusal() -> None:
    with pytest.raises(SlirpRefusedError) as caught:
        _read(b'{"error": {"desc": "bad request: add_hostfwd"}}')
    assert caught.value.cause == "bad request: add_hostfwd"


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"null", b'{"return": 3}', b'{"error": {}}', b'{"entries": 1}', b"\xff"]
)
def test_broken_reply(data: bytes) -> None:
    with pytest.raises(NetError):
        _read(data)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_reply_or_an_error(data: bytes) -> None:
    try:
        _read(data)
    except NetError:
        return


def test_reply_without_end() -> None:
    reader = ReplyReader()
    reader.feed(b" " * (16 << 20))
    with pytest.raises(NetError, match="without end"):
        reader.feed(b" ")


def test_list() -> None:
    row = {
        "id": 1,
        "proto": "udp",
        "host_addr": "0.0.0.0",
        "host_port": 53,
        "guest_addr": "10.0.2.100",
        "guest_port": 5353,
    }
    assert decode_forwards({"entries": [row]}) == (HostForward(1, Forward("0.0.0.0", 53, "udp"), 5353, "10.0.2.100"),)
    for entries in (None, 3, [{**row, "proto": "sctp"}], [3]):
        with pytest.raises(NetError):
            decode_forwards({"entries": entries})
