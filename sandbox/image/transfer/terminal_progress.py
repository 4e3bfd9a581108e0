"""A transfer on a terminal: a row for each layer, drawn anew in place, below what has been told.

    latest: Pulling from library/web
    0f1c2d3e4a5b: Pull complete
    a1b2c3d4e5f6: Extracting   [=========>          ]  31.4MB/62.9MB

No row is wider than the terminal is at that moment, nor are there more than it is high. Nothing but an event draws, so
there is no thread: a transfer forks, and a process with threads must not.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from sandbox.humane import display_width, ellipsis, human_size, printable, short_digest

if TYPE_CHECKING:
    from typing import TextIO

_PERIOD_SECONDS = 0.1
#: as wide as the longest of the statuses that have a bar beside them
_STATUS_COLUMNS = len("Downloading")
_BAR_COLUMNS_MAX = 50
_BAR_COLUMNS_MIN = 10
#: what is said of a layer last; "Mounted from" is followed by a repository
_LAST_WORDS = ("Pull complete", "Loaded", "Already exists", "Pushed", "Layer already exists", "Mounted from")


class TerminalProgress:
    """A Progress: the story on `stream`, the rows on `screen`, which are one terminal or two places.

    `close` leaves the rows as they stand, with the cursor below them.
    """

    def __init__(self, stream: TextIO, screen: TextIO) -> None:
        self._stream = stream
        self._screen = screen
        self._rows: dict[str, _Row] = {}
        #: widths of the rows that stand there, to be drawn over
        self._drawn: list[int] = []
        self._drawn_at = 0.0

    def line(self, text: str) -> None:
        if all(row.has_ended for row in self._rows.values()):
            # they have their last form: what follows stands below them
            self._leave()
        else:
            self._erase()
        self._stream.write(text + "\n")
        self._stream.flush()
        if self._rows:
            self._draw()

    def layer(self, blob: str, status: str) -> None:
        self._rows.setdefault(blob, _Row(short_digest(blob))).turn_to(status)
        self._draw()

    def warning(self, text: str) -> None:
        self.line(text)

    def layer_bytes(self, blob: str, received: int, size: int) -> None:
        self._advance(blob, "", received, size)

    def layer_unpacked(self, blob: str, done: int, size: int) -> None:
        self._advance(blob, "Extracting", done, size)

    def close(self) -> None:
        self._leave()

    def _advance(self, blob: str, status: str, done: int, size: int) -> None:
        row = self._rows.get(blob)
        if row is None:
            # a configuration or a manifest: small, and no layer
            return
        is_new = row.turn_to(status or row.doing, done, size)
        if is_new or time.monotonic() - self._drawn_at >= _PERIOD_SECONDS:
            self._draw()

    def _leave(self) -> None:
        if self._rows:
            self._draw(whole=True)
        self._rows.clear()
        self._drawn = []

    def _erase(self) -> None:
        self._screen.write(self._start())
        self._screen.flush()
        self._drawn = []

    def _start(self) -> str:
        """To the start of what was drawn, and all from there away."""
        width, _height = self._size()
        above = sum(max(1, -(-drawn // width)) for drawn in self._drawn)
        return f"\x1b[{above}A\r\x1b[J" if above else ""

    def _draw(self, *, whole: bool = False) -> None:
        width, height = self._size()
        rows = list(self._rows.values())
        if not whole and len(rows) > height - 1:
            # what goes on is looked at, in its order, and of the rest as much as there is room for
            chosen = sorted(rows, key=lambda row: row.has_ended)[: height - 1]
            rows = [row for row in rows if row in chosen]
        lines = [row.text(width) for row in rows]
        start = self._start()
        self._drawn = [display_width(line) for line in lines]
        self._drawn_at = time.monotonic()
        self._screen.write(start + "".join(f"{line}\n" for line in lines))
        self._screen.flush()

    def _size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self._screen.fileno())
        except OSError:
            return 80, 24
        # nobody told the terminal its size: 0, as in `script` and some CI runners
        return size.columns or 80, max(size.lines or 24, 2)


class _Row:
    def __init__(self, name: str) -> None:
        self._name = name
        self._status = ""
        self._done = self._size = 0

    def turn_to(self, status: str, done: int = 0, size: int = 0) -> bool:
        """Whether the status is another one than before, or has its first count."""
        before = self._status, bool(self._size)
        self._status, self._done, self._size = printable(status), done, size
        return before != (self._status, bool(size))

    @property
    def doing(self) -> str:
        """What bytes are told of: those of a pull come down, those of a push go up."""
        return {"Preparing": "Pushing", "Pushing": "Pushing"}.get(self._status, "Downloading")

    @property
    def has_ended(self) -> bool:
        return self._status.startswith(_LAST_WORDS)

    def text(self, width: int) -> str:
        if not self._size:
            return ellipsis(f"{self._name}: {self._status}", width)
        head = f"{self._name}: {self._status:<{_STATUS_COLUMNS}}"
        count = f"{human_size(self._done, 3)}/{human_size(self._size, 3)}"
        room = min(width - len(head) - len(count) - len(" []  "), _BAR_COLUMNS_MAX)
        if room < _BAR_COLUMNS_MIN:
            return ellipsis(f"{head} {count}", width)
        filled = min(self._done * room // self._size, room)
        bar = ("=" * filled + ">")[:room]
        return f"{head} [{bar:<{room}}]  {count}"
