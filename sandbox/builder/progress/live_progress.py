"""`--progress tty`: a view of the build that is drawn anew in place, in BuildKit's form.

    [+] Building 3.2s (5/8)
     => CACHED 3 steps                                                0.0s
     => [3/4] RUN make                                                2.1s
     => => # the last lines it wrote

A build forks, and a process with threads must not: so the clock that moves the seconds is a timer of the kernel's,
setitimer(2), whose signal is taken between two instructions of this one thread; forked children have none. What is
drawn fits the terminal as it is at that moment: no line is longer than it is wide, nor are there more than it is high.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from sandbox.builder.progress.shown_steps import ShownSteps
from sandbox.dockerfile.errors import printable
from sandbox.humane import display_width, ellipsis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from sandbox.builder.progress.progress import Event
    from sandbox.builder.progress.shown_steps import ShownStep

_PERIOD_SECONDS = 0.1
#: lines of output below each step that runs
_OUTPUT_LINES = 6
_WORDS = {"cached": "CACHED ", "failed": "ERROR ", "cancelled": "CANCELED "}
_COLOURS = {"cached": "34", "finished": "34", "failed": "31", "cancelled": "33"}


class LiveProgress:
    """An EventSink for a terminal. `close` draws a last time and leaves it all there."""

    def __init__(self, stream: TextIO, *, colour: bool = True) -> None:
        self._stream = stream
        self._colour = colour
        self._steps = ShownSteps()
        self._warnings: list[str] = []
        self._began_ns = 0
        #: widths of the lines that stand there, to be drawn over
        self._drawn: list[int] = []
        self._drawn_at = 0.0
        self._busy = False
        self._before: Callable[..., object] | int | None = None

    def __call__(self, event: Event) -> None:
        if not self._began_ns:
            self._start(event.time_ns)
        self._busy = True
        try:
            step, _lines = self._steps.take(event)
            if step is None:
                self._warnings.append(printable(event.text))
            if time.monotonic() - self._drawn_at >= _PERIOD_SECONDS:
                self._draw()
        finally:
            self._busy = False

    def close(self) -> None:
        """Draw the whole once more, stop the clock, show what failed. Twice is safe."""
        if not self._began_ns:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before or signal.SIG_DFL)
        self._draw(final=True)
        rest = [*(f"WARNING: {text}" for text in self._warnings), *self._steps.failure()]
        self._stream.write("".join(f"{line}\n" for line in rest))
        self._stream.flush()
        self._began_ns = 0

    def _start(self, time_ns: int) -> None:
        self._began_ns = time_ns
        self._before = signal.signal(signal.SIGALRM, self._tick)
        signal.setitimer(signal.ITIMER_REAL, _PERIOD_SECONDS, _PERIOD_SECONDS)

    def _tick(self, _number: int, _frame: object) -> None:
        # the signal may have come while an event is being taken: that one draws
        if not self._busy and self._began_ns:
            self._draw()

    def _draw(self, *, final: bool = False) -> None:
        width, height = self._size()
        now = time.time_ns()
        lines = list(self._lines(now, width, 10**6 if final else height - 1))
        above = sum(max(1, -(-drawn // width)) for drawn in self._drawn)
        self._drawn = [display_width(text) for text, _colour in lines]
        self._drawn_at = time.monotonic()
        # to the start of what was drawn, and all from there away
        start = f"\x1b[{above}A\r\x1b[J" if above else "\r"
        self._stream.write(start + "".join(self._coloured(*line) + "\n" for line in lines))
        self._stream.flush()

    def _coloured(self, text: str, colour: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if colour and self._colour else text

    def _size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except OSError:
            return 80, 24
        # nobody told the terminal its size: 0, as in `script` and some CI runners
        return max(size.columns or 80, 20), max(size.lines or 24, 4)

    def _lines(self, now: int, width: int, height: int) -> Iterator[tuple[str, str]]:
        steps = list(self._steps.by_id.values())
        ended = [step for step in steps if step.state != "running"]
        running = [step for step in steps if step.state == "running"]
        seconds = max(now - self._began_ns, 0) / 1e9
        # what runs is drawn whole where there is room; of what has ended, as much as is left
        output = max(0, min(_OUTPUT_LINES, (height - 1) // max(1, len(running)) - 1))
        rows = list(_folded(ended))
        below = [row for step in running for row in _running_rows(step, now, output)]
        room = max(0, height - 1 - len(below))
        header = f"[+] Building {seconds:.1f}s ({len(ended)}/{len(steps)})" + ("" if running else " FINISHED")
        yield ellipsis(header, width), "34" if not running else ""
        for text, taken, colour in [*(rows[-room:] if room else []), *below][: height - 1]:
            time_text = "" if taken is None else f" {taken:.1f}s"
            left = ellipsis(text, width - len(time_text))
            yield left + " " * (width - display_width(left) - len(time_text)) * bool(time_text) + time_text, colour


def _folded(steps: list[ShownStep]) -> Iterator[tuple[str, float | None, str]]:
    """A row for each step that has ended; cached ones that follow one another share one."""
    cached: list[ShownStep] = []
    for step in [*steps, None]:
        if step is not None and step.state == "cached":
            cached.append(step)
            continue
        if len(cached) > 2:
            yield f" => CACHED {len(cached)} steps, to {cached[-1].name}", 0.0, _COLOURS["cached"]
        else:
            yield from ((f" => CACHED {each.name}", 0.0, _COLOURS["cached"]) for each in cached)
        cached = []
        if step is not None:
            name = f" => {_WORDS.get(step.state, '')}{step.name}"
            yield name, step.seconds(step.ended_ns), _COLOURS[step.state]


def _running_rows(step: ShownStep, now: int, output: int) -> Iterator[tuple[str, float | None, str]]:
    yield f" => {step.name}", step.seconds(now), ""
    if step.status and output:
        yield f" => => {step.status}", None, ""
        output -= 1
    for line in list(step.tail)[-output:] if output else []:
        yield f" => => # {line.text}", None, ""
