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
from typing import NamedTuple

from sandbox.errors import UsageError

LOG_NAME = "log.json"
#: as Docker's copier
LONGEST_PIECE = 16 * 1024


class LogOptions(NamedTuple):
    """`maximum_bytes` 0 is no limit, and then there is one file."""

    maximum_bytes: int = 0
    maximum_files: int = 1


_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}


def parse_log_options(options: tuple[tuple[str, str], ...]) -> LogOptions:
    """What `--log-opt` said. Raises UsageError on a value or a name that the driver does not know."""
    result = LogOptions()
    for name, text in options:
        if name == "max-size":
            result = result._replace(maximum_bytes=_parse_size(text))
        elif name == "max-file":
            if not text.isdecimal() or int(text) < 1:
                raise UsageError(f"invalid value for log option max-file: {text}", mend="--log-opt max-file=3")
            result = result._replace(maximum_files=int(text))
        elif name not in ("mode", "labels", "labels-regex", "env", "env-regex", "tag", "compress", "max-buffer-size"):
            raise UsageError(f"unknown log opt '{name}' for json-file log driver")
    if result.maximum_files > 1 and not result.maximum_bytes:
        raise UsageError("max-file cannot be greater than 1 without max-size", mend="--log-opt max-size=10m")
    return result


def _parse_size(text: str) -> int:
    lowered = text.lower().removesuffix("ib").removesuffix("b") if text.lower() != "b" else text
    digits = lowered.rstrip("kmg")
    unit = _UNITS.get(lowered[len(digits) :])
    if not digits.isdecimal() or unit is None or int(digits) == 0:
        raise UsageError(f"invalid value for log option max-size: {text}", mend="--log-opt max-size=10m")
    return int(digits) * unit


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
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

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
        try:
            os.close(self._fd)
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
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size


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
