"""What a build says while it works: one value for each thing that happens, in the order in which it happened.

    started ─┬─ cached
             └─ output*, status* ─┬─ finished
                                  ├─ failed      with the message of the error
                                  └─ cancelled   another step failed, or the build was stopped
    warning                                      of the file, of no step
    instruction                                  one that is no step has its effect; told where a build is asked to

Steps of stages that are built at the same time mix; `vertex` says whose an event is. Whoever shows a build (plain
lines, a live view, JSON) is an `EventSink`; a build knows none of them, and tells none the credentials of a URL. Events
cross from the processes that build to the command as lines of JSON, `encode_event` and `decode_event`.
"""

from __future__ import annotations

import hashlib
import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from sandbox.errors import SandboxError
from sandbox.faults import explain_fault
from sandbox.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

EventKind = Literal[
    "started", "cached", "output", "status", "finished", "failed", "cancelled", "warning", "instruction"
]

_KINDS: tuple[EventKind, ...] = (
    "started", "cached", "output", "status", "finished", "failed", "cancelled", "warning", "instruction",
)  # fmt: skip


class Vertex(NamedTuple):
    """A step as it is shown. `id` is a digest, the same for the same step in every build of this file; `inputs` are the
    ids it needs.

    `name` is whole ("[web 2/5] RUN make"), and made of `stage` ("" in a file of one stage without a name), `position`
    of `total` (FROM of an image, RUN, COPY, ADD and WORKDIR are counted), and the instruction's text. `line` is the
    instruction's in the file, 0 for what is in none (a pull, the export).
    """

    id: str
    name: str
    stage: str = ""
    position: int = 0
    total: int = 0
    inputs: tuple[str, ...] = ()
    line: int = 0


class Event(NamedTuple):
    """One thing that happened to the step `vertex`.

    started     `step` describes it, once, before every other event of its id
    output      `data`, as the command wrote it, in pieces that may end within a line or a character; `stream` 1 or 2
    status      `text` is what is being done ("pulling sha256:…"), `current` of `total` bytes; 0 where not known
    failed      `text` is the message
    warning     `text`; `vertex` is ""
    instruction `step` has its text as `name`, its stage, and as `total` how many instructions are built; no position
    """

    kind: EventKind
    vertex: str
    time_ns: int
    step: Vertex | None = None
    data: bytes = b""
    stream: int = 1
    text: str = ""
    current: int = 0
    total: int = 0


class EventSink(Protocol):
    """Takes events in their order; must not fail for what a hostile step says."""

    def __call__(self, event: Event, /) -> None: ...


class OpenSteps:
    """The steps that have begun and not ended."""

    def __init__(self) -> None:
        self._vertices: dict[str, None] = {}

    def take(self, event: Event) -> None:
        if event.kind == "started":
            self._vertices[event.vertex] = None
        elif event.kind in ("cached", "finished", "failed", "cancelled"):
            self._vertices.pop(event.vertex, None)

    def cancelled(self) -> Iterator[Event]:
        """The end of each of them, told now."""
        for vertex in tuple(self._vertices):
            yield Event("cancelled", vertex, time.time_ns())
        self._vertices.clear()


class StepReport:
    """Tells a sink about one step; made by `begin_step`."""

    def __init__(self, sink: EventSink, vertex: Vertex) -> None:
        self._sink = sink
        self.vertex = vertex

    def output(self, data: bytes, stream: int = 1) -> None:
        """Output of the step's command, in pieces as they come."""
        self._sink(Event("output", self.vertex.id, time.time_ns(), data=data, stream=stream))

    def status(self, text: str, current: int = 0, total: int = 0) -> None:
        """How far something has come, in bytes."""
        self._sink(Event("status", self.vertex.id, time.time_ns(), text=redact(text), current=current, total=total))

    def cached(self) -> None:
        self._sink(Event("cached", self.vertex.id, time.time_ns()))

    def finished(self) -> None:
        self._sink(Event("finished", self.vertex.id, time.time_ns()))

    def failed(self, message: str) -> None:
        self._sink(Event("failed", self.vertex.id, time.time_ns(), text=redact(message)))

    def cancelled(self) -> None:
        self._sink(Event("cancelled", self.vertex.id, time.time_ns()))


def begin_step(sink: EventSink, vertex: Vertex) -> StepReport:
    """Tell that a step has begun."""
    vertex = vertex._replace(name=redact(vertex.name))
    sink(Event("started", vertex.id, time.time_ns(), step=vertex))
    return StepReport(sink, vertex)


@contextmanager
def reported_step(sink: EventSink, vertex: Vertex) -> Iterator[StepReport]:
    """A step for as long as the block: failed with the error's message where one leaves it, cancelled by ctrl-C."""
    report = begin_step(sink, vertex)
    try:
        yield report
    except Exception as error:
        report.failed(error.message if isinstance(error, SandboxError) else explain_fault(error))
        raise
    except BaseException:
        report.cancelled()
        raise
    report.finished()


def warn(sink: EventSink, text: str) -> None:
    """A warning of the file, of no step."""
    sink(Event("warning", "", time.time_ns(), text=redact(text)))


def vertex_id(*parts: object) -> str:
    """The id of a step that these parts tell apart from every other of the build."""
    return "sha256:" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def encode_event(event: Event) -> str:
    """One line of JSON without its end. Bytes that are not UTF-8 are kept."""
    data = event.data.decode("utf-8", "surrogateescape")
    return json.dumps([*event[:3], event.step, data, *event[5:]], separators=(",", ":"))


def decode_event(line: str | bytes) -> Event:
    """What `encode_event` wrote. ValueError for anything else."""
    match json.loads(line):
        case [
            str(kind), str(vertex), int(time_ns), step, str(data), int(stream), str(text), int(current), int(total),
        ]:  # fmt: skip
            known = next((one for one in _KINDS if one == kind), None)
            if known is not None:
                described = None if step is None else _decode_vertex(step)
                raw = data.encode("utf-8", "surrogateescape")
                return Event(known, vertex, time_ns, described, raw, stream, text, current, total)
    raise ValueError("not an event of a build")


def _decode_vertex(fields: Sequence[object]) -> Vertex:
    match fields:
        case [str(id_), str(name), str(stage), int(position), int(total), [*inputs], int(line)]:
            return Vertex(id_, name, stage, position, total, tuple(map(str, inputs)), line)
    raise ValueError("not a step of a build")
