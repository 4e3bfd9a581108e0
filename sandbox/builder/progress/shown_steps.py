"""What whoever shows a build keeps of it: the steps in the order of their numbers, and the end of what each wrote.

What a step writes is hostile: a line is made printable before it is kept, so that nothing in it moves a cursor.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Literal, NamedTuple

from sandbox.dockerfile.errors import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sandbox.builder.progress.progress import Event, EventKind, Vertex

StepState = Literal["running", "cached", "finished", "failed", "cancelled"]
_TAIL_LINES = 20
#: a line that never ends is cut into pieces of this length
_LINE_BYTES_MAX = 64 * 1024
_ENDS: Mapping[EventKind, StepState] = {
    "cached": "cached", "finished": "finished", "failed": "failed", "cancelled": "cancelled"
}  # fmt: skip


class Line(NamedTuple):
    """A line of output, fit for a terminal, and when it came, in seconds after the step began."""

    seconds: float
    text: str

    def __str__(self) -> str:
        return f"{self.seconds:.3f} {self.text}"


class ShownStep:
    """One step: its number, how it stands, and its last lines."""

    def __init__(self, number: int, vertex: Vertex, started_ns: int) -> None:
        self.number = number
        self.vertex = vertex
        self.name = printable(vertex.name)
        self.started_ns = started_ns
        self.ended_ns = 0
        self.state: StepState = "running"
        self.message = ""
        self.status = ""
        self.tail: deque[Line] = deque(maxlen=_TAIL_LINES)
        self._rest = b""

    def seconds(self, time_ns: int) -> float:
        """How long it took, or has taken at `time_ns`."""
        return max((self.ended_ns or time_ns) - self.started_ns, 0) / 1e9

    def take(self, event: Event) -> Iterator[Line]:
        """The lines that the event completes."""
        if event.kind == "output":
            *whole, self._rest = (self._rest + event.data).split(b"\n")
            if len(self._rest) > _LINE_BYTES_MAX:
                whole, self._rest = [*whole, self._rest], b""
            yield from (self._line(event, data) for data in whole)
        elif event.kind in _ENDS:
            if self._rest:
                yield self._line(event, self._rest)
                self._rest = b""
            self.state, self.ended_ns, self.message = _ENDS[event.kind], event.time_ns, printable(event.text)

    def _line(self, event: Event, data: bytes) -> Line:
        # a program that draws a bar returns to the line's start: what stands there at the end counts
        text = data.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
        line = Line(self.seconds(event.time_ns), printable(text))
        self.tail.append(line)
        return line


class ShownSteps:
    """All steps that have begun."""

    def __init__(self) -> None:
        self.by_id: dict[str, ShownStep] = {}
        self.failed: ShownStep | None = None

    def take(self, event: Event) -> tuple[ShownStep | None, tuple[Line, ...]]:
        """The step the event is of, brought up to it, and the lines it completes; None for a warning of the file."""
        if event.step is not None and event.vertex not in self.by_id:
            self.by_id[event.vertex] = ShownStep(len(self.by_id) + 1, event.step, event.time_ns)
        step = self.by_id.get(event.vertex)
        if step is None:
            return None, ()
        lines = tuple(step.take(event))
        if event.kind == "failed" and self.failed is None:
            self.failed = step
        if event.kind == "status":
            step.status = status_text(event)
        return step, lines

    def failure(self) -> list[str]:
        """The last lines of the step that failed, framed; none where none failed or it wrote nothing."""
        step = self.failed
        if step is None or not step.tail:
            return []
        return ["------", f" > {step.name}:", *map(str, step.tail), "------"]


def status_text(event: Event) -> str:
    """A status as one line."""
    text = printable(event.text)
    return f"{text} {_size(event.current)} / {_size(event.total)}" if event.total else text


def _size(count: int) -> str:
    """As Docker writes sizes here: decimal, two digits after the point."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.2f}{unit}" if unit != "B" else f"{count}B"
        value /= 1000
    return f"{value:.2f}GB"
