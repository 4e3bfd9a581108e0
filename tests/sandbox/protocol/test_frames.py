"""Frames survive being cut anywhere; nonsense is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.protocol.frames import (
    MESSAGE,
    Decoder,
    Frame,
    ProtocolError,
    encode,
    encode_exit,
    encode_message,
    encode_resize,
)

FRAMES = st.lists(st.tuples(st.integers(0, 7), st.binary(max_size=50)), max_size=8)


@settings(database=None)  # the checkout may not be ours to write
@given(FRAMES, st.integers(1, 20))
def test_frames_come_out_as_they_went_in_however_they_are_cut(frames: list[tuple[int, bytes]], size: int) -> None:
    stream = b"".join(encode(kind, payload) for kind, payload in frames)
    decoder, found = Decoder(), []
    for start in range(0, len(stream), size):
        found += decoder.feed(stream[start : start + size])
    assert found == [Frame(kind, payload) for kind, payload in frames]


def test_the_values_in_frames() -> None:
    (message, code, size) = Decoder().feed(encode_message("go", n=1) + encode_exit(-1) + encode_resize(24, 99999))
    assert message.message == {"type": "go", "n": 1}
    assert code.exit_code == -1
    assert size.window_size == (24, 0xFFFF)


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'{"a": 1}', b'{"type": 3}', b"\xff"])
def test_a_message_that_is_none_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        _ = Frame(MESSAGE, payload).message


def test_a_length_no_frame_has_is_refused_before_it_is_kept() -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(b"\x01\xff\xff\xff\xff")
