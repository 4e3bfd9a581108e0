"""Lines of progress that are written over on a terminal, each known by its name: Docker's stream of JSON messages."""

from __future__ import annotations

from sandbox.humane import printable
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

#: terminals of fewer columns show no bars
_LEAST_COLUMNS = 110
_BAR = 50


class Line(NamedTuple):
    """What is to be said now on the line `id`; without an id it is a line of its own."""

    id: str
    text: str
    #: how far it is, of `total`; 0 is no bar
    current: int = 0
    total: int = 0


class ProgressLines:
    """Where lines are written. On anything but a terminal bars are left out, and what is said again as well."""

    def __init__(self, stream: TextIO, columns: int | None) -> None:
        """`columns` of the terminal; None where the stream is none."""
        self._stream = stream
        self._columns = columns
        #: line -> its place from the top, and what it said last
        self._places: dict[str, int] = {}
        self._said: dict[str, str] = {}

    def show(self, line: Line) -> None:
        """Write the line, or write it over."""
        if self._columns is None:
            self._append(line)
        elif line.id:
            self._write_over(line, self._columns)
        else:
            self._places.clear()
            self._stream.write(f"{printable(line.text)}\n")
        self._stream.flush()

    def _append(self, line: Line) -> None:
        if line.total or (line.id and self._said.get(line.id) == line.text):
            return
        self._said[line.id] = line.text
        self._stream.write(f"{line.id}: {printable(line.text)}\n" if line.id else f"{printable(line.text)}\n")

    def _write_over(self, line: Line, columns: int) -> None:
        if line.id not in self._places:
            self._places[line.id] = len(self._places)
            self._stream.write("\n")
        up = len(self._places) - self._places[line.id]
        text = f"{line.id}: {printable(line.text)} {_bar(line, columns)}"
        self._stream.write(f"\x1b[{up}A\x1b[2K\r{text}\r\x1b[{up}B")


def _bar(line: Line, columns: int) -> str:
    if not line.total or columns <= _LEAST_COLUMNS:
        return ""
    done = min(line.current * 100 // line.total // 2, _BAR)
    return f"[{'=' * done}>{' ' * (_BAR - done)}] "
