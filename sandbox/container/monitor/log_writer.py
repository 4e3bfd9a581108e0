"""A container's log on disk, in the form of Docker's json-file driver, with rotation.

Each line of output is one line of JSON: {"log": text with its newline, "stream": "stdout"|"stderr", "time": RFC 3339}.
A line longer than 16 KiB is written in pieces, the last of which alone ends in a newline. There are up to `max-file`
files of at most `max-size` bytes each (`log_files.py`); with `compress` the older ones are compressed.

Where a full disk took lines, a line of ours on stderr says so: where it began, as far as there is room for that, and
how many are missing, as soon as there is room again.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from json.encoder import JSONEncoder, encode_basestring_ascii

from sandbox.container.monitor.log_files import COMPRESSED, LOG_NAME, count_lines, numbered, with_count
from sandbox.values import DEFAULT_OPTIONS, LogOptions
from storage.waits import carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.monitor.log_compression import LogCompressor
    from storage.waits import Steps

#: many texts at once, in a third of the time of one by one; between them is what none of them can have
_encode_texts = JSONEncoder(check_circular=False, separators=("\n", ":")).encode

#: as Docker's copier
LONGEST_PIECE = 16 * 1024
#: of the last file left, what may be compressed when the container has ended: a blink of its time
_COMPRESSED_AT_THE_END = 32 << 20
#: some milliseconds' worth
_COMPRESSED_AT_ONCE = 1 << 20


def parse_log_options(driver: str, options: tuple[tuple[str, str], ...]) -> LogOptions:
    """What `--log-opt` said; the option parser has checked each value. Raises UsageError where they disagree."""
    if not options:
        return DEFAULT_OPTIONS[driver]
    # only where there is something to read: most containers have no such options
    from sandbox.grammar.logs import combine_options

    return combine_options(driver, dict(options))


def timestamp(time_ns: int) -> str:
    """RFC 3339 in UTC with nanoseconds."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    moment = time.gmtime(seconds)
    return (
        f"{moment.tm_year:04}-{moment.tm_mon:02}-{moment.tm_mday:02}"
        f"T{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02}.{nanoseconds:09}Z"
    )


class LogWriter:
    """Cuts output into lines and appends them. A full disk costs log lines, never the container."""

    def __init__(self, directory: str, options: LogOptions) -> None:
        self._path = f"{directory}/{LOG_NAME}"
        self._options = options
        self._partial = {"stdout": bytearray(), "stderr": bytearray()}
        self._fd = -1
        self._size = 0
        #: lines in the files before it
        self._before = 0
        self._lost = 0
        self._loss_reason = ""
        self._compressor: LogCompressor | None = None
        self._open()
        if options.compress:
            self._resume_compression()

    def write(self, stream: str, data: bytes) -> None:
        """Append what `data` completes; the rest waits for its newline, or for `finish`."""
        pending = self._partial[stream]
        pending += data
        end = pending.rfind(b"\n") + 1
        if end == 0 and len(pending) < LONGEST_PIECE:
            return
        lines = bytes(pending[:end])
        del pending[:end]
        time_ns = time.time_ns()
        if lines:
            self._append(_entries(lines, stream, time_ns))
        while len(pending) >= LONGEST_PIECE:
            cut = _character_boundary(pending, LONGEST_PIECE)
            self._append(_entry(bytes(pending[:cut]), stream, time_ns))
            del pending[:cut]

    def finish(self) -> None:
        """Write what came without a final newline; writing may go on afterwards."""
        for stream, pending in self._partial.items():
            if pending:
                self._append(_entry(bytes(pending), stream, time.time_ns()))
                pending.clear()

    def close(self) -> None:
        """Write what is left, and compress what is left to compress, unless that is much."""
        carry_out(self.close_steps())

    def close_steps(self) -> Steps[None]:
        """`close`, for who does something else meanwhile."""
        self.finish()
        if self._lost:
            self._put(self._loss())
        self._close()
        compressor, self._compressor = self._compressor, None
        if compressor is None:
            return
        if compressor.remaining > _COMPRESSED_AT_THE_END:
            compressor.abandon()
            return
        while not compressor.step(_COMPRESSED_AT_ONCE):
            yield -1, 0.0

    def _append(self, entries: bytes) -> None:
        limit = self._options.maximum_bytes
        if not limit or self._size + len(entries) <= limit:
            self._write_all(entries)
            return
        batch: list[bytes] = []
        batch_size = 0
        for entry in entries.splitlines(keepends=True):
            if self._size + batch_size and self._size + batch_size + len(entry) > limit:
                self._write_all(b"".join(batch))
                batch, batch_size = [], 0
                # what a killed monitor left to compress may be much: each line does a part of it, and then it goes on
                if self._compressor is None:
                    self._rotate()
            batch.append(entry)
            batch_size += len(entry)
        self._write_all(b"".join(batch))

    def _write_all(self, data: bytes) -> None:
        if not data:
            return
        lost = self._put(self._loss() + data if self._lost else data)
        if lost:
            if not self._lost:
                self._put(_entry(f"sandbox: output is lost from here on: {self._loss_reason}\n".encode()))
            self._lost += lost
        if self._compressor is not None and self._compressor.step(4 * len(data)):
            self._compressor = None

    def _loss(self) -> bytes:
        lines = "1 line" if self._lost == 1 else f"{self._lost} lines"
        return _entry(f"sandbox: {lines} of output lost here: {self._loss_reason}\n".encode())

    def _put(self, data: bytes) -> int:
        """Append whole lines of `data` as far as there is room; how many were lost, not counting one that says so."""
        if self._fd < 0:
            self._open()
        if self._before and not self._size:
            data = with_count(data, self._before)
        written, ahead = 0, self._lost > 0
        try:
            while self._fd >= 0 and written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError as error:
            self._loss_reason = error.strerror or ""
            # half a line must not be glued to the next one
            written = data.rfind(b"\n", 0, written) + 1
            with suppress(OSError):
                os.ftruncate(self._fd, self._size + written)
        self._size += written
        if ahead and written:
            self._lost, ahead = 0, False
        return max(0, data.count(b"\n", written) - ahead)

    def _rotate(self) -> None:
        self._close()
        self._before = count_lines(self._path)
        last = self._options.maximum_files - 1
        with suppress(OSError):  # the open below goes on with the file that is there
            for number in range(last, -1, -1):
                name = numbered(self._path, number)
                for suffix in ("", COMPRESSED) if number else ("",):
                    with suppress(FileNotFoundError):
                        if number == last:
                            os.unlink(name + suffix)
                        else:
                            os.rename(name + suffix, numbered(self._path, number + 1) + suffix)
        self._open()
        if self._options.compress:
            self._resume_compression()

    def _resume_compression(self) -> None:
        """Begin to compress the newest file that is not written any more; after a kill, again."""
        name = numbered(self._path, 1)
        if not os.path.exists(name):
            return
        from sandbox.container.monitor.log_compression import (
            LogCompressor,  # zlib: of logs that are rotated and compressed
        )

        with suppress(OSError):
            if os.path.exists(name + COMPRESSED):
                os.unlink(name)
            else:
                self._compressor = LogCompressor(name)

    def _open(self) -> None:
        self._size = 0
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._loss_reason = error.strerror or ""
            return  # no room for the file itself: tried again with the next line
        self._size = os.fstat(self._fd).st_size

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _entry(text: bytes, stream: str = "stderr", time_ns: int = 0) -> bytes:
    words = encode_basestring_ascii(text.decode(errors="replace"))
    return f'{{"log":{words}{_after(stream, time_ns or time.time_ns())}\n'.encode()


def _after(stream: str, time_ns: int) -> str:
    return f',"stream":"{stream}","time":"{timestamp(time_ns)}"}}'


def _entries(lines: bytes, stream: str, time_ns: int) -> bytes:
    """The entries of whole lines."""
    if len(lines) > LONGEST_PIECE and any(len(piece) >= LONGEST_PIECE for piece in lines.split(b"\n")):
        pieces = [piece for line in lines.split(b"\n")[:-1] for piece in _pieces(line + b"\n")]
        return b"".join(_entry(piece, stream, time_ns) for piece in pieces)
    # not splitlines: a carriage return alone ends no line
    texts = lines.decode(errors="replace").split("\n")[:-1]
    after = f'\\n"{_after(stream, time_ns)}\n'
    return ('{"log":' + _encode_texts(texts)[1:-2].replace('"\n"', f'{after}{{"log":"') + after).encode()


def _pieces(line: bytes) -> list[bytes]:
    pieces = []
    while len(line) > LONGEST_PIECE:
        cut = _character_boundary(line, LONGEST_PIECE)
        pieces.append(line[:cut])
        line = line[cut:]
    return [*pieces, line]


def _character_boundary(data: bytes | bytearray, end: int) -> int:
    """At most `end`, moved back so that no UTF-8 character is cut; a character has four bytes at most."""
    for cut in range(end, max(end - 4, 0), -1):
        if cut >= len(data) or data[cut] & 0xC0 != 0x80:
            return cut
    return end
