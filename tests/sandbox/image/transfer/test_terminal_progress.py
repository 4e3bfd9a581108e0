"""What stands on a terminal during and after a transfer, whatever its size."""

from __future__ import annotations

import fcntl
import io
import os
import re
import struct
import termios
from typing import TYPE_CHECKING

import pytest

from sandbox.image.transfer.terminal_progress import TerminalProgress
from storage.digests import parse_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

_ONE, _TWO, _THREE = (parse_digest(f"sha256:{digit * 64}") for digit in "123")


class _Terminal(io.StringIO):
    """A screen of so many columns: line feeds, wrapped lines, the cursor up, and all below it away."""

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__()
        self._columns = columns
        self._main, self._side = os.openpty()
        fcntl.ioctl(self._side, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))

    def fileno(self) -> int:
        return self._side

    def free(self) -> None:
        os.close(self._main)
        os.close(self._side)

    def rows(self) -> list[str]:
        rows, at = [""], 0
        for part in re.findall(r"\x1b\[\d*[AJ]|\r|\n|[^\x1b\r\n]+", self.getvalue()):
            if part == "\n":
                at += 1
                rows += [""] * (at + 1 - len(rows))
            elif part.endswith("A") and part.startswith("\x1b"):
                at -= int(part[2:-1])
                assert at >= 0, "above the screen"
            elif part == "\x1b[J":
                rows[at:] = [""]
            elif part != "\r":
                assert rows[at] == "", f"{part!r} is glued to {rows[at]!r}"
                pieces = [part[i : i + self._columns] for i in range(0, len(part), self._columns)]
                rows[at : at + 1] = pieces
                at += len(pieces) - 1
        assert rows[at] == "", "the cursor is not at the start of a line"
        return rows[:-1] if rows[-1] == "" else rows


@pytest.fixture(params=[(200, 50), (80, 24), (40, 24), (40, 3), (17, 4)], ids="{0[0]}x{0[1]}".format)
def terminal(request: pytest.FixtureRequest) -> Iterator[_Terminal]:
    made = _Terminal(*request.param)
    yield made
    made.free()


def _pull(progress: TerminalProgress, terminal: _Terminal, width: int) -> None:
    progress.line("Pulling")
    for blob in (_ONE, _TWO, _THREE):
        progress.layer(blob, "Pulling fs layer")
    for count in range(0, 123_456_789, 9_999_999):
        for blob in (_ONE, _TWO):
            progress.layer_bytes(blob, count, 123_456_789)
            assert all(len(row) <= width for row in terminal.rows())
    progress.line("a note")
    for blob in (_ONE, _TWO, _THREE):
        progress.layer(blob, "Download complete")
        progress.layer_unpacked(blob, 61_000_000, 123_456_789)
        progress.layer(blob, "Pull complete")


def test_rows_keep_their_place_and_text_its_own_line(terminal: _Terminal) -> None:
    width, height = os.get_terminal_size(terminal.fileno())
    progress = TerminalProgress(terminal, terminal)
    _pull(progress, terminal, width)
    progress.line("Digest: x")
    progress.close()
    if height > 3:
        rows = [row[:14] for row in terminal.rows()]
        assert rows == ["Pulling", "a note", *(f"{digit * 12}: " for digit in "123"), "Digest: x"]
    if width >= 40 and height > 3:
        assert terminal.rows()[2:5] == [f"{digit * 12}: Pull complete" for digit in "123"]


def test_a_transfer_that_fails_leaves_the_cursor_below_its_rows(terminal: _Terminal) -> None:
    progress = TerminalProgress(terminal, terminal)
    progress.layer(_ONE, "Pulling fs layer")
    progress.layer_bytes(_ONE, 5, 10)
    progress.close()
    progress.close()
    terminal.write("Error: no more\n")
    assert terminal.rows()[-1][:14] == "Error: no more"


def test_what_has_no_row_is_not_shown(terminal: _Terminal) -> None:
    """Layers that are here already and a configuration that is not: there is nothing to be glued to."""
    progress = TerminalProgress(terminal, terminal)
    progress.layer_bytes(_ONE, 5, 10)
    progress.line("Digest: x")
    progress.close()
    assert terminal.getvalue() == "Digest: x\n"


def test_unpacking_shows_how_far_it_is() -> None:
    terminal = _Terminal(80, 24)
    try:
        progress = TerminalProgress(io.StringIO(), terminal)
        progress.layer(_ONE, "Download complete")
        progress.layer_unpacked(_ONE, 31_400_000, 62_800_000)
        progress.close()
        (row,) = terminal.rows()
    finally:
        terminal.free()
    assert re.fullmatch(r"1{12}: Extracting  \[=+> +\]  31\.4MB/62\.8MB", row)
    assert row.count("=") == row.count(" ", row.index("["), row.index("]"))
