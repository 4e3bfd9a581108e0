"""What a person sees of a run, on standard error: a line for each change, or on a terminal one for each thing, which is
written over.
"""

from __future__ import annotations

import time

from sandbox.errors import UsageError
from sandbox.humane import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol, TextIO

    from sandbox.cli.command import Invocation
    from sandbox.compose.progress import Progress
    from sandbox.compose.steps import Plan

    class Display(Protocol):
        """Told what happens, from one task at a time."""

        def tell(self, progress: Progress) -> None: ...

        def close(self) -> None: ...


_FORMS = ("auto", "tty", "plain", "json", "quiet")
_DRY = "DRY-RUN MODE - "
_MARKS = {"working": ("⠿", "33"), "done": ("✔", "32"), "warning": ("!", "33"), "error": ("✘", "31")}
_JSON_STATES = {"working": "Working", "done": "Done", "warning": "Warning", "error": "Error"}
#: of a terminal that does not tell
_COLUMNS, _ROWS = 80, 24


def display_of(invocation: Invocation) -> Display:
    """The display that the options ask for. Raises UsageError."""
    env, stream = invocation.context.env, invocation.context.stderr
    form = str(invocation.of_noun.get("progress") or env.get("COMPOSE_PROGRESS") or "auto")
    if form not in _FORMS:
        raise UsageError(f"unsupported --progress value {form!r}", mend=f"--progress {'|'.join(_FORMS)}")
    ansi = str(invocation.of_noun.get("ansi") or env.get("COMPOSE_ANSI") or "auto")
    if form == "auto":
        form = "tty" if stream.isatty() and ansi != "never" and env.get("TERM") != "dumb" else "plain"
    if form == "tty":
        return TerminalDisplay(stream, colour=ansi != "never" and not env.get("NO_COLOR"))
    if form == "json":
        return JsonDisplay(stream)
    return PlainDisplay(stream, is_quiet=form == "quiet")


class PlainDisplay:
    """One line for each change; a quiet one tells of what a person should know alone."""

    def __init__(self, stream: TextIO, *, is_quiet: bool = False) -> None:
        self._stream = stream
        self._is_quiet = is_quiet

    def tell(self, progress: Progress) -> None:
        """Write the line."""
        if not progress.subject:
            self._stream.write(f"{_note(progress)}\n")
        elif not self._is_quiet:
            self._stream.write(f" {printable(progress.subject)} {printable(progress.text)} \n")
        self._stream.flush()

    def close(self) -> None:
        """All is written."""


class JsonDisplay:
    """One JSON document for each change."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def tell(self, progress: Progress) -> None:
        """Write the document."""
        import json

        document = {"id": progress.subject, "status": _JSON_STATES[progress.state], "text": progress.text}
        if not progress.subject:
            document = {"level": progress.state, "msg": progress.text}
        self._stream.write(json.dumps(document) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """All is written."""


class TerminalDisplay:
    """A line for each thing, with what became of it and how long that took, written over as it changes."""

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        self._stream = stream
        self._colour = colour
        self._lines: dict[str, Progress] = {}
        self._begun: dict[str, float] = {}
        self._ended: dict[str, float] = {}
        self._shown = 0

    def tell(self, progress: Progress) -> None:
        """Show it in its line."""
        if not progress.subject:
            self._erase()
            self._stream.write(f"{_note(progress)}\n")
        else:
            now = time.monotonic()
            self._begun.setdefault(progress.subject, now)
            self._ended[progress.subject] = now
            self._lines[progress.subject] = progress
            self._erase()
        self._draw()

    def close(self) -> None:
        """The lines stay as they are; what is told from now on is below them."""
        self._lines.clear()
        self._shown = 0

    def _erase(self) -> None:
        if self._shown:
            self._stream.write(f"\x1b[{self._shown}A\x1b[0J")
        self._shown = 0

    def _draw(self) -> None:
        if not self._lines:
            self._stream.flush()
            return
        columns, rows = self._size()
        done = sum(progress.state != "working" for progress in self._lines.values())
        head = f"[+] Running {done}/{len(self._lines)}"
        # what does not fit into the window could not be written over
        shown = list(self._lines.values())[-max(1, rows - 2) :]
        width = max(len(progress.subject) for progress in shown)
        self._stream.write(f"{head}\n" + "".join(f"{self._line(progress, width, columns)}\n" for progress in shown))
        self._stream.flush()
        self._shown = len(shown) + 1

    def _line(self, progress: Progress, width: int, columns: int) -> str:
        mark, code = _MARKS[progress.state]
        seconds = f"{self._ended[progress.subject] - self._begun[progress.subject]:.1f}s"
        text = f" {mark} {printable(progress.subject):<{width}}  {printable(progress.text)}"
        room = max(0, columns - len(seconds) - 1)
        line = f"{text[:room]:<{room}}{seconds}"
        return f"\x1b[{code}m{line}\x1b[0m" if self._colour else line

    def _size(self) -> tuple[int, int]:
        import os

        try:
            columns, rows = os.get_terminal_size(self._stream.fileno())
        except OSError:
            return _COLUMNS, _ROWS
        return columns or _COLUMNS, rows or _ROWS


def _note(progress: Progress) -> str:
    text = printable(progress.text)
    return text if progress.state == "working" or text.startswith("Warning:") else f"WARNING: {text}"


def write_plan(stream: TextIO, plan: Plan, *, starts: bool = True) -> None:
    """What would be done, with the reason of each step; without `starts` as far as nothing runs."""
    from sandbox.compose.step_requests import STEP_WORDS, subject_of
    from sandbox.compose.steps import COMPLETED

    for step in (*plan.makes, *(plan.starts if starts else ())):
        reason = f" ({step.reason})" if step.reason else ""
        subjects: Sequence[str] = (subject_of(step),)
        if step.kind == "wait":
            subjects = [f"Container {name}" for name in step.containers]
        for subject in subjects:
            begins, ends = STEP_WORDS[step.kind]
            ends = "Exited" if step.condition == COMPLETED else ends
            for word in (f"{begins}{reason}", ends):
                write_dry(stream, subject, word)
    stream.flush()


def write_dry(stream: TextIO, subject: str, word: str) -> None:
    """Say what would become of something in a run in which nothing is done."""
    stream.write(f"{_DRY} {printable(subject)} {printable(word)} \n")
