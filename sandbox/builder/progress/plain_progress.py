"""`--progress plain` and `quiet`: lines, each with its step's number, in BuildKit's form.

#5 [stage 2/4] RUN make         the step's name again whenever another one's lines came between
#5 0.123 output                 seconds after the step began
#5 DONE 0.3s                    or CACHED, CANCELED, ERROR: message
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

from sandbox.builder.progress.shown_steps import ShownSteps, status_text
from sandbox.dockerfile.errors import printable

if TYPE_CHECKING:
    from sandbox.builder.progress.progress import Event
    from sandbox.builder.progress.shown_steps import ShownStep


class QuietProgress:
    """An EventSink that writes to standard error only warnings, and at the end what a failed step wrote last."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._steps = ShownSteps()

    def __call__(self, event: Event) -> None:
        if event.kind == "warning":
            self._write(f"WARNING: {printable(event.text)}")
        else:
            self._steps.take(event)

    def close(self) -> None:
        """Show what failed. Twice is safe."""
        self._write(*self._steps.failure())
        self._steps.failed = None

    def _write(self, *lines: str) -> None:
        stream = sys.stderr if self._stream is None else self._stream
        stream.write("".join(f"{line}\n" for line in lines))
        stream.flush()


class PlainProgress(QuietProgress):
    """An EventSink that writes everything as it comes, to standard error unless another `stream` is given."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._last: ShownStep | None = None

    def __call__(self, event: Event) -> None:
        step, lines = self._steps.take(event)
        if step is None:
            self._write(f"WARNING: {printable(event.text)}")
            return
        if step is not self._last:
            self._turn_to(step)
        for line in lines:
            self._write(f"#{step.number} {line}")
        # of what comes in many small parts the last one is enough
        if event.kind == "status" and event.current >= event.total:
            self._write(f"#{step.number} {status_text(event)}")
        elif event.kind == "cached":
            self._write(f"#{step.number} CACHED")
        elif event.kind == "finished":
            self._write(f"#{step.number} DONE {step.seconds(event.time_ns):.1f}s")
        elif event.kind == "cancelled":
            self._write(f"#{step.number} CANCELED")
        elif event.kind == "failed":
            self._write(f"#{step.number} ERROR: {step.message}")

    def _turn_to(self, step: ShownStep) -> None:
        if self._last is not None:
            self._write(*([f"#{self._last.number} ..."] if self._last.state == "running" else []), "")
        self._write(f"#{step.number} {step.name}")
        self._last = step
