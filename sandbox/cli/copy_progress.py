"""How much `cp` has copied, on a terminal: one line, written anew while it grows, and gone at the end."""

from __future__ import annotations

import mmap
import os
import signal

from sandbox.humane import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

_PERIOD_SECONDS = 0.075
_NUMBER_BYTES = 8
_DIGITS = 3


class CopyProgress:
    """Context: shows the bytes that `told` was given, by this process or a forked one, at the terminal `stream`.

    A timer's signal has them shown: the process itself waits for the children that copy.
    """

    def __init__(self, stream: TextIO, header: str) -> None:
        self._fd = stream.fileno()
        self._header = header
        # shared with what is forked, which counts
        self._memory = mmap.mmap(-1, _NUMBER_BYTES)
        self._shown = -1

    def told(self, size_bytes: int) -> None:
        """So many bytes have been copied."""
        self._memory[:] = size_bytes.to_bytes(_NUMBER_BYTES, "little")

    def __enter__(self) -> CopyProgress:
        self._show()
        self._before = signal.signal(signal.SIGALRM, lambda _number, _frame: self._show())
        signal.setitimer(signal.ITIMER_REAL, _PERIOD_SECONDS, _PERIOD_SECONDS)
        return self

    def __exit__(self, *_exception: object) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._before)
        self._write("\r\x1b[2K")

    def _show(self) -> None:
        size_bytes = int.from_bytes(self._memory[:], "little")
        if size_bytes != self._shown:
            self._shown = size_bytes
            self._write(f"\r\x1b[2K{self._header} - {human_size(size_bytes, _DIGITS)}")

    def _write(self, text: str) -> None:
        # not through the stream: a signal may come while that is being written to
        os.write(self._fd, text.encode())
