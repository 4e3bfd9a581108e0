"""Frames of WebSockets, taken apart as they come; the examples are those of RFC 6455."""

from __future__ import annotations

import struct

import pytest

from sandbox.api.errors import ApiError
from sandbox.api.websocket import BINARY, CLOSE, PING, TEXT, Decoder, ProtocolError, accept_lines, frame_header

KEY = b"\x37\xfa\x21\x3d"
HEADERS = {"upgrade": "WebSocket", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}


def masked(first: int, payload: bytes) -> bytes:
    """A client's frame."""
    size = len(payload)
    if size <= 125:
        head = bytes((first, 0x80 | size))
    elif size <= 0xFFFF:
        head = struct.pack(">BBH", first, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", first, 0x80 | 127, size)
    return head + KEY + bytes(byte ^ KEY[number % 4] for number, byte in enumerate(payload))


def test_the_handshake_of_the_specification() -> None:
    assert accept_lines(HEADERS)[-1] == "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("header", "value", "words"),
    [
        ("upgrade", "tcp", "not websocket protocol"),
        ("sec-websocket-version", "8", "bad WebSocket Version"),
        ("sec-websocket-key", "c2hvcnQ=", "bad Sec-WebSocket-Key"),
        ("sec-websocket-key", "#", "bad Sec-WebSocket-Key"),
    ],
)
def test_what_asks_for_no_websocket(header: str, value: str, words: str) -> None:
    with pytest.raises(ApiError, match=words) as raised:
        accept_lines({**HEADERS, header: value})
    assert raised.value.status == 400


def test_a_masked_text_of_the_specification() -> None:
    assert masked(0x81, b"Hello") == bytes.fromhex("818537fa213d7f9f4d5158")
    assert list(Decoder().feed(masked(0x81, b"Hello"))) == [(BINARY, b"Hello")]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 65535, 65536])
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_data_comes_whole_however_it_is_cut(size: int, step: int) -> None:
    if size > 1000 and step == 1:
        step = 1001
    payload = bytes(number * 7 % 251 for number in range(size))
    sent = masked(0x02, payload[: size // 2]) + masked(0x89, b"are you there") + masked(0x80, payload[size // 2 :])
    decoder = Decoder()
    found: list[tuple[int, bytes]] = []
    for start in range(0, len(sent), step):
        found += decoder.feed(sent[start : start + step])
    assert b"".join(data for kind, data in found if kind == BINARY) == payload
    assert [data for kind, data in found if kind == PING] == [b"are you there"]


def test_an_end_has_a_code() -> None:
    assert list(Decoder().feed(masked(0x88, b"\x03\xe8bye"))) == [(CLOSE, b"\x03\xe8bye")]


@pytest.mark.parametrize(
    "sent",
    [
        b"\x81\x05Hello",  # not masked
        masked(0xC1, b"compressed"),
        masked(0x83, b"of no kind"),
        masked(0x80, b"a part of nothing"),
        masked(0x01, b"a part") + masked(0x81, b"another message"),
        masked(0x09, b"half a ping"),
        masked(0x89, b"x" * 126),
    ],
)
def test_what_breaks_the_rules(sent: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(Decoder().feed(sent))


def test_heads_of_frames() -> None:
    assert [frame_header(kind, size) for kind, size in ((BINARY, 5), (TEXT, 126), (CLOSE, 2), (BINARY, 65536))] == [
        b"\x82\x05", b"\x81\x7e\x00\x7e", b"\x88\x02", b"\x82\x7f" + (65536).to_bytes(8, "big"),
    ]  # fmt: skip
