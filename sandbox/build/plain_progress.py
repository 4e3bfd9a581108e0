"""`--progress plain`: numbered steps, their output and the seconds they take, each line with its step's number."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from sandbox.build.errors import printable

if TYPE_CHECKING:
    from sandbox.build.progress import Event

_TAIL_BYTES = 64 * 1024
_TAIL_LINES = 20


class _Shown:
    """A step that has begun: its number, when, and what of its output has no line end yet."""

    def __init__(self, number: int, started_ns: int) -> None:
        self.number = number
        self.started_ns = started_ns
        self.rest = b""
        self.kept = bytearray()


class PlainProgress:
    """An EventSink that writes to standard error; with `quiet` only what a failed step wrote last, and warnings."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._steps: dict[str, _Shown] = {}

    def __call__(self, event: Event) -> None:
        if event.kind == "warning":
            self._write(f"WARNING: {printable(event.text)}")
            return
        if event.step is not None:
            self._steps[event.vertex] = _Shown(len(self._steps) + 1, event.time_ns)
            self._say(event, event.step.name)
            return
        shown = self._steps[event.vertex]
        if event.kind == "output":
            shown.kept += event.data
            del shown.kept[:-_TAIL_BYTES]
            *lines, shown.rest = (shown.rest + event.data).split(b"\n")
            for line in lines:
                self._line(event, line)
        else:
            if shown.rest:
                self._line(event, shown.rest)
                shown.rest = b""
            self._end(event, shown)

    def _end(self, event: Event, shown: _Shown) -> None:
        if event.kind == "cached":
            self._say(event, "CACHED")
        elif event.kind == "finished":
            self._say(event, f"DONE {self._seconds(event):.1f}s")
        elif event.kind == "cancelled":
            self._say(event, "CANCELED")
        elif event.kind == "failed":
            self._say(event, "ERROR")
            if self._quiet:
                lines = shown.kept.decode(errors="replace").splitlines()[-_TAIL_LINES:]
                self._write(*map(printable, lines))

    def _line(self, event: Event, line: bytes) -> None:
        text = printable(line.decode(errors="replace").rstrip("\r"))
        self._say(event, f"{self._seconds(event):.3f} {text}")

    def _say(self, event: Event, text: str) -> None:
        if not self._quiet:
            self._write(f"#{self._steps[event.vertex].number} {text}")

    def _write(self, *lines: str) -> None:
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()

    def _seconds(self, event: Event) -> float:
        return max(event.time_ns - self._steps[event.vertex].started_ns, 0) / 1e9
