"""Events of a build: that they cross between processes unchanged, and how plain progress writes them."""

from __future__ import annotations

import base64
import io
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.builder.progress.live_progress import LiveProgress
from sandbox.builder.progress.plain_progress import PlainProgress, QuietProgress
from sandbox.builder.progress.progress import Event, Vertex, begin_step, decode_event, encode_event, vertex_id, warn
from sandbox.builder.progress.raw_progress import RawProgress
from sandbox.humane import display_width

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
        "#1 [one 2/3] RUN make", "#1 ...", "", "#2 [two 2/2] COPY a b", "#2 CACHED", "", "#1 [one 2/3] RUN make",
        "#1 half a line", "#1 rest�[31m", "#1 ERROR: no",
    ]  # fmt: skip
    sink.close()
    assert _written(capsys)[0:2] == ["------", " > [one 2/3] RUN make:"]


def test_quiet_shows_what_a_failed_step_wrote_and_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    sink = QuietProgress()
    one = begin_step(sink, _ONE)
    one.output(b"".join(b"%d\n" % number for number in range(30)))
    begin_step(sink, _TWO).finished()
    assert _written(capsys) == []
    one.failed("no")
    warn(sink, "careful")
    sink.close()
    lines = [re.sub(r"^[0-9]+\.[0-9]{3} ", "", line) for line in _written(capsys)]
    assert lines == ["WARNING: careful", "------", " > [one 2/3] RUN make:", *map(str, range(10, 30)), "------"]


def test_raw_is_what_buildkit_writes(capsys: pytest.CaptureFixture[str]) -> None:
    sink = RawProgress()
    one = begin_step(sink, _ONE)
    one.output(b"\xff\n", 2)
    one.status("layer abc", 1, 3)
    one.failed("no")
    begin_step(sink, _TWO).cached()
    warn(sink, "careful")
    lines = [json.loads(line) for line in _written(capsys)]
    begun = lines[0]["vertexes"][0]
    assert begun["digest"] == _ONE.id
    assert begun["inputs"] == list(_ONE.inputs)
    assert begun["name"] == _ONE.name
    assert re.fullmatch(r"20..-..-..T..:..:..(\.[0-9]+)?Z", begun["started"])
    (log,) = lines[1]["logs"]
    assert (log["vertex"], log["stream"], base64.b64decode(log["data"])) == (_ONE.id, 2, b"\xff\n")
    (status,) = lines[2]["statuses"]
    assert (status["current"], status["total"], "completed" in status) == (1, 3, False)
    (ended,) = lines[3]["vertexes"]
    assert ended["error"] == "no"
    assert ended["completed"] >= ended["started"] == begun["started"]
    assert lines[5]["vertexes"][0]["cached"] is True
    assert base64.b64decode(lines[6]["warnings"][0]["short"]) == b"careful"


def _drawn(view: LiveProgress, stream: io.StringIO) -> list[str]:
    """What stands on the terminal after a last drawing."""
    stream.seek(0)
    stream.truncate()
    view.close()
    text = stream.getvalue()
    return re.sub(r"\A(\x1b\[[0-9]+A)?\r(\x1b\[J)?", "", text).splitlines()


def test_the_live_view_folds_what_was_cached_and_keeps_hostile_output_in_its_line() -> None:
    stream = io.StringIO()
    view = LiveProgress(stream, colour=False)
    for number in range(4):
        begin_step(view, Vertex(vertex_id("c", number), f"[{number}/9] COPY")).cached()
    one = begin_step(view, _ONE)
    one.output(b"\x1b[2J\x1b]0;title\x07evil\r10%\r100%\n" + "\u4e16\u754c".encode() * 200 + b"\n")
    one.status("layer", 5, 1000)
    one.finished()
    lines = _drawn(view, stream)
    assert re.fullmatch(r"\[\+\] Building [0-9.]+s \(5/5\) FINISHED", lines[0])
    assert lines[1].startswith(" => CACHED 4 steps, to [3/9] COPY")
    assert lines[2].startswith(" => [one 2/3] RUN make ")
    assert len(lines) == 3
    assert all(display_width(line) <= 80 and line.isprintable() for line in lines)


def test_the_live_view_shows_the_last_lines_of_what_runs_and_of_what_failed() -> None:
    stream = io.StringIO()
    view = LiveProgress(stream, colour=False)
    one = begin_step(view, _ONE)
    one.output(b"".join(b"line %d\n" % number for number in range(50)))
    lines = _drawn(view, stream)
    assert [line for line in lines if "=> => #" in line] == [f" => => # line {number}" for number in range(44, 50)]
    stream = io.StringIO()
    view = LiveProgress(stream, colour=False)
    one = begin_step(view, _ONE)
    one.output(b"bad\x1b[31m\n")
    one.failed("no")
    lines = _drawn(view, stream)
    assert lines[1].startswith(" => ERROR [one 2/3] RUN make")
    assert lines[2:4] == ["------", " > [one 2/3] RUN make:"]
    assert lines[4].endswith(" bad�[31m")


def _written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()
