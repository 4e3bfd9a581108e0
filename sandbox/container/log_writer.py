"""A container's log on disk, in the form of Docker's json-file driver, with rotation.

Each line of output is one line of JSON: {"log": text with its newline, "stream": "stdout"|"stderr", "time": RFC 3339}.
A line longer than 16 KiB is written in pieces, the last of which alone ends in a newline. `log.json` is the newest
file, `log.json.1` the one before, and so on up to `max-file` files of at most `max-size` bytes each.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from json.encoder import encode_basestring_ascii

from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple

LOG_NAME = "log.json"
#: as Docker's copier
LONGEST_PIECE = 16 * 1024


class LogOptions(NamedTuple):
    """`maximum_bytes` 0 is no limit, and then there is one file."""

    maximum_bytes: int = 0
    maximum_files: int = 1


def parse_log_options(options: tuple[tuple[str, str], ...]) -> LogOptions:
    """What `--log-opt` said; the option parser has checked each value. Raises UsageError where they disagree."""
    if not options:
        return LogOptions()
    # only where there is something to read: most containers have no such options
    from sandbox.container.option_values.sizes import parse_size

    result = LogOptions()
    for name, text in options:
        if name == "max-size" and text != "-1":
            result = result._replace(maximum_bytes=parse_size(text))
        elif name == "max-file":
            result = result._replace(maximum_files=int(text))
    if result.maximum_files > 1 and not result.maximum_bytes:
        raise UsageError("max-file cannot be greater than 1 without max-size", mend="--log-opt max-size=10m")
    return result


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
        self._open()

    def write(self, stream: str, data: bytes) -> None:
        """Append what `data` completes; the rest waits for its newline, or for `finish`."""
        pending = self._partial[stream]
        pending += data
        end = pending.rfind(b"\n") + 1
        if end == 0 and len(pending) < LONGEST_PIECE:
            return
        lines = bytes(pending[:end])
        del pending[:end]
        # not splitlines: a carriage return alone ends no line
        pieces = [piece for line in lines.split(b"\n")[:-1] for piece in _pieces(line + b"\n")]
        while len(pending) >= LONGEST_PIECE:
            cut = _character_boundary(pending, LONGEST_PIECE)
            pieces.append(bytes(pending[:cut]))
            del pending[:cut]
        self._append(stream, pieces)

    def finish(self) -> None:
        """Write what came without a final newline; writing may go on afterwards."""
        for stream, pending in self._partial.items():
            if pending:
                self._append(stream, list(_pieces(bytes(pending))))
                pending.clear()

    def close(self) -> None:
        self.finish()
        self._close()

    def _append(self, stream: str, pieces: list[bytes]) -> None:
        end = f',"stream":"{stream}","time":"{timestamp(time.time_ns())}"}}\n'
        limit = self._options.maximum_bytes
        batch: list[bytes] = []
        batch_size = 0
        for piece in pieces:
            entry = f'{{"log":{encode_basestring_ascii(piece.decode(errors="replace"))}{end}'.encode()
            if limit and self._size + batch_size and self._size + batch_size + len(entry) > limit:
                self._write_all(b"".join(batch))
                batch, batch_size = [], 0
                self._rotate()
            batch.append(entry)
            batch_size += len(entry)
        self._write_all(b"".join(batch))

    def _write_all(self, data: bytes) -> None:
        if self._fd < 0:
            self._open()
        if self._fd < 0 or not data:
            return
        try:
            written = 0
            while written < len(data):
                written += os.write(self._fd, data[written:])
        except OSError:
            # half a line must not be glued to the next one
            with suppress(OSError):
                os.ftruncate(self._fd, self._size)
            return
        self._size += len(data)

    def _rotate(self) -> None:
        self._close()
        try:
            for number in range(self._options.maximum_files - 1, 0, -1):
                older = f"{self._path}.{number}"
                newer = f"{self._path}.{number - 1}" if number > 1 else self._path
                if os.path.exists(newer):
                    os.rename(newer, older)
            if self._options.maximum_files == 1:
                os.unlink(self._path)
        except OSError:
            pass  # the open below goes on with the file that is there
        self._open()

    def _open(self) -> None:
        self._size = 0
        try:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return  # no room for the file itself: tried again with the next line
        self._size = os.fstat(self._fd).st_size

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _pieces(line: bytes) -> list[bytes]:
    if len(line) <= LONGEST_PIECE:
        return [line]
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
