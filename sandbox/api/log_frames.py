"""Entries of logs in the form in which the API sends them."""

from __future__ import annotations

from sandbox.api.framing import frame_header
from sandbox.container.view.log_entries import LogBlock
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.view.log_entries import LogEntry

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


class _Headers(dict[tuple[str, int], bytes]):
    """What is before a piece, by its stream and size; pieces have at most some 16 KiB."""

    def __missing__(self, key: tuple[str, int]) -> bytes:
        stream, size = key
        self[key] = header = frame_header(2 if stream == "stderr" else 1, size)
        return header


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
        self._headers = _Headers()

    def add_block(self, block: LogBlock, details: str, *, terminal: bool) -> None:
        """Write its entries, with `details` before each where these are wanted. Raises OSError."""
        times, streams, texts = block.columns()
        if self._form.details:
            texts = [f"{details} {text}" for text in texts]
        if self._form.timestamps:
            texts = [f"{time} {text}" for time, text in zip(times, texts, strict=True)]
        pieces = [text.encode(errors="surrogateescape") for text in texts]
        if not terminal:
            wanted, both = self._streams, zip(streams, pieces, strict=True)
            if self._form.is_raw:
                pieces = [piece for stream, piece in both if stream in wanted]
            else:
                headers = self._headers
                pieces = [headers[stream, len(piece)] + piece for stream, piece in both if stream in wanted]
        if pieces:
            self._parts.extend(pieces)
            self._size += sum(map(len, pieces))
            if self._size >= self._limit:
                self.flush()

    def add(self, entry: LogEntry, details: str, *, terminal: bool) -> None:
        """Write the entry, as `add_block` does."""
        self.add_block(LogBlock(b"", [entry]), details, terminal=terminal)

    def flush(self) -> None:
        """Write what was kept back. Raises OSError."""
        if self._parts:
            self._write(b"".join(self._parts))
            self._parts, self._size = [], 0
