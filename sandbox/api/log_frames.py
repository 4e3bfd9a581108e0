"""Entries of logs in the form in which the API sends them."""

from __future__ import annotations

from sandbox.api.framing import frame_header
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.view.logs import LogEntry

_BLOCK_BYTES = 64 * 1024


class LogForm(NamedTuple):
    """How a log is wanted."""

    follow: bool = False
    stdout: bool = True
    stderr: bool = True
    timestamps: bool = False
    details: bool = False
    #: without frames, as of a terminal
    is_raw: bool = False


class LogWriter:
    """Writes entries in frames, those of a terminal without: together where they come fast, at once where they are
    followed.
    """

    def __init__(self, form: LogForm, write: Callable[[bytes], object]) -> None:
        self._form = form
        self._streams = {name for name, given in (("stdout", form.stdout), ("stderr", form.stderr)) if given}
        self._limit = 0 if form.follow else _BLOCK_BYTES
        self._write = write
        self._parts: list[bytes] = []
        self._size = 0
        #: pieces have at most 16 KiB, and what is before each
        self._headers: dict[tuple[str, int], bytes] = {}

    def add(self, entry: LogEntry, details: str, *, terminal: bool) -> None:
        """Write the entry, with `details` before it where these are wanted. Raises OSError."""
        if entry.stream not in self._streams and not terminal:
            return
        text = entry.text
        if self._form.details:
            text = f"{details} {text}"
        if self._form.timestamps:
            text = f"{entry.time} {text}"
        data = text.encode(errors="surrogateescape")
        size = len(data)
        if not terminal and not self._form.is_raw:
            kind_and_size = entry.stream, size
            header = self._headers.get(kind_and_size)
            if header is None:
                header = frame_header(2 if entry.stream == "stderr" else 1, size)
                self._headers[kind_and_size] = header
            self._parts.append(header)
        self._parts.append(data)
        self._size += size
        if self._size >= self._limit:
            self.flush()

    def flush(self) -> None:
        """Write what was kept back. Raises OSError."""
        if self._parts:
            self._write(b"".join(self._parts))
            self._parts, self._size = [], 0
