"""What a build says while it works: `--progress plain`, on standard error; quiet keeps it until a step fails."""

from __future__ import annotations

import sys
import time

from sandbox.build.errors import printable


class Progress:
    """Numbered steps with their output lines and the seconds they take."""

    def __init__(self, *, plain: bool) -> None:
        self._plain = plain
        self._number = 0
        self._began = 0.0
        self._rest = b""

    def begin(self, title: str) -> None:
        self._number += 1
        self._began = time.monotonic()
        self._rest = b""
        self._say(title)

    def output(self, data: bytes) -> None:
        """Output of the step's command, in pieces as they come."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)

    def cached(self) -> None:
        self._say("CACHED")

    def done(self) -> None:
        self._end_line()
        self._say(f"DONE {self._seconds():.1f}s")

    def failed(self) -> None:
        self._end_line()
        self._say("ERROR")

    def warn(self, text: str) -> None:
        sys.stderr.write(f"WARNING: {printable(text)}\n")
        sys.stderr.flush()

    def _end_line(self) -> None:
        if self._rest:
            self._line(self._rest)
            self._rest = b""

    def _line(self, line: bytes) -> None:
        self._say(f"{self._seconds():.3f} {printable(line.decode(errors='replace').rstrip(chr(13)))}")

    def _say(self, text: str) -> None:
        if self._plain:
            sys.stderr.write(f"#{self._number} {text}\n")
            sys.stderr.flush()

    def _seconds(self) -> float:
        return time.monotonic() - self._began
