"""Events of a build: that they cross between processes unchanged, and how plain progress writes them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.build.plain_progress import PlainProgress
from sandbox.build.progress import Event, Vertex, begin_step, decode_event, encode_event, vertex_id, warn

_ONE = Vertex(vertex_id(1), "[one 2/3] RUN make", "one", 2, 3, (vertex_id(0),), 7)
_TWO = Vertex(vertex_id(2), "[two 2/2] COPY a b", "two", 2, 2)


@given(st.binary(), st.text(), st.sampled_from([None, _ONE]), st.integers(0, 2**63))
def test_an_event_crosses_unchanged(data: bytes, text: str, step: Vertex | None, number: int) -> None:
    event = Event("output", _ONE.id, number, step, data, 2, text, number, 1)
    line = encode_event(event)
    assert "\n" not in line
    assert decode_event(line) == event


@pytest.mark.parametrize(
    "line", ["[]", "{}", '["boom","",0,null,"",1,"",0,0]', '["started","",0,[1],"",1,"",0,0]', "x"]
)
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # of the JSON reader too
        decode_event(line)


def test_plain_lines_of_two_steps_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    sink = PlainProgress()
    one = begin_step(sink, _ONE)
    one.output(b"half a ")
    two = begin_step(sink, _TWO)
    two.cached()
    one.output(b"line\nrest\x1b[31m")
    one.failed("no")
    lines = [re.sub(r" [0-9]+\.[0-9]{3} ", " ", line) for line in _written(capsys)]
    assert lines == [
        "#1 [one 2/3] RUN make", "#2 [two 2/2] COPY a b", "#2 CACHED", "#1 half a line", "#1 rest�[31m", "#1 ERROR"
    ]  # fmt: skip


def test_quiet_shows_what_a_failed_step_wrote_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    sink = PlainProgress(quiet=True)
    one = begin_step(sink, _ONE)
    one.output(b"".join(b"%d\n" % number for number in range(30)))
    begin_step(sink, _TWO).finished()
    assert _written(capsys) == []
    one.failed("no")
    warn(sink, "careful")
    assert _written(capsys) == [*map(str, range(10, 30)), "WARNING: careful"]


def _written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()
