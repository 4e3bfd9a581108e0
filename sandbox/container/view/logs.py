"""Reading a container's log: `logs` with its selections, across rotated files, and following what is still written."""

from __future__ import annotations

import json
import re
from collections import deque

from sandbox.container.monitor.log_files import LOG_NAME, LogFile, is_log_file, open_log_file
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


#: a line of the writer's whose text has nothing escaped but its newline, which most are
_PLAIN = re.compile(r'^\{"log":"([^"\\\n]*)(\\n)?","stream":"([a-z]+)","time":"([^"\\\n]*)"\}\n', re.MULTILINE)

#: so many numbers may be free between two files: a rotation that is under way or was killed leaves one
_GAP = 1


class LogEntry(NamedTuple):
    """One piece of output; `time` is RFC 3339 in UTC with nine digits, so texts compare as times do."""

    time: str
    stream: str
    text: str


class LogSelection(NamedTuple):
    """Which entries: `since` and `until` as `LogEntry.time`; `tail` counts from the end, None is all.

    `until_ns` is the same time as `until`, Unix time.
    """

    since: str = ""
    until: str = ""
    tail: int | None = None
    until_ns: int = 0

    def takes(self, entry: LogEntry) -> bool:
        return (not self.since or entry.time >= self.since) and (not self.until or entry.time <= self.until)


def read_log(directory: str, selection: LogSelection) -> Iterator[LogEntry]:
    """The entries of a log that nobody writes any more, oldest first."""
    reader = LogReader(directory, selection)
    try:
        yield from reader.read_kept()
    finally:
        reader.close()


class LogReader:
    """Reads a log that may be written, rotated and compressed meanwhile: first what is there, then what was added.

    It goes from each file to the one that follows, which it knows by what they are and not by what they are called.
    """

    def __init__(self, directory: str, selection: LogSelection) -> None:
        self._path = f"{directory}/{LOG_NAME}"
        self._selection = selection
        self._file: LogFile | None = None
        self._content: Iterator[bytes] = iter(())
        self._number = 0
        self._partial = b""

    def read_kept(self) -> Iterator[LogEntry]:
        """What the log holds, the oldest first, as selected."""
        if self._selection.tail is None:
            self._enter(self._oldest())
            return self.read_added()
        return iter(self._read_tail(self._selection.tail))

    def read_added(self) -> Iterator[LogEntry]:
        """What was written since the last read, through any rotation that happened meanwhile."""
        yield from self._read_selected()
        while (following := self._find_following()) is not None:
            # what was written to the old file after the read above, and before there was a new one
            yield from self._read_selected()
            self._enter(following)
            yield from self._read_selected()

    def close(self) -> None:
        self._enter(None)

    def _read_tail(self, count: int) -> list[LogEntry]:
        """The last `count` entries: older files are opened only where newer ones have too few."""
        self._enter(_file_from(self._path, 0, 1))
        chosen = list(deque(filter(self._selection.takes, self._read_open()), maxlen=count))
        before = LogReader(self._path.removesuffix(f"/{LOG_NAME}"), self._selection)
        number, file = self._number, self._file
        while file is not None and len(chosen) < count:
            # a rotation since may have given it another number
            place = self._position_of(file.identity, number)
            older = None if place is None else _file_from(self._path, place + 1, place + 2 + _GAP)
            before._enter(older)
            found = deque(filter(self._selection.takes, before._read_open()), maxlen=count - len(chosen))
            chosen = [*found, *chosen]
            number, file = before._number, before._file
        before.close()
        return chosen

    def _enter(self, file: tuple[LogFile, int] | None) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._number = file or (None, 0)
        self._content = self._file.blocks() if self._file else iter(())
        self._partial = b""

    def _read_selected(self) -> Iterator[LogEntry]:
        chooses = self._selection.since or self._selection.until
        return filter(self._selection.takes, self._read_open()) if chooses else self._read_open()

    def _read_open(self) -> Iterator[LogEntry]:
        while self._file is not None and (block := next(self._content, b"")):
            content = self._partial + block
            end = content.rfind(b"\n") + 1
            lines, self._partial = content[:end], content[end:]
            yield from _parse_lines(lines)

    def _oldest(self) -> tuple[LogFile, int] | None:
        """The oldest file that is kept."""
        number, last = 0, 0
        while number <= last + _GAP:
            number += 1
            last = number if is_log_file(self._path, number) else last
        return _file_from(self._path, last, -1)

    def _find_following(self) -> tuple[LogFile, int] | None:
        """The file after the one being read, None where that is the newest; the oldest kept where that one is gone."""
        while True:
            number = self._position_of(self._file.identity, self._number) if self._file else None
            if number is None:
                return self._oldest()
            found = _file_from(self._path, number - 1, -1)
            if found is None or self._file is None or self._position_of(self._file.identity, number) == number:
                return found
            # renamed in between: what was opened may not be the next one
            found[0].close()

    def _position_of(self, identity: int, least: int) -> int | None:
        """The number that a file has now, which only grows, and was `least` before."""
        number = last = least
        while number <= last + _GAP:
            found = open_log_file(self._path, number)
            if found is not None:
                found.close()
                last = number
                if found.identity == identity:
                    return number
            number += 1
        return None


def _file_from(path: str, number: int, end: int) -> tuple[LogFile, int] | None:
    """The first file that there is from `number` on towards `end`, which is not looked at."""
    for candidate in range(number, end, 1 if number < end else -1):
        file = open_log_file(path, candidate)
        if file is not None:
            return file, candidate
    return None


def _parse_lines(lines: bytes) -> list[LogEntry]:
    """The entries on whole lines, without those that are damaged, as a line is that a full disk cut short."""
    if lines.isascii():
        # all at once in a quarter of the time, where all are of the kind
        found = _PLAIN.findall(lines.decode())
        if len(found) == lines.count(b"\n"):
            make = tuple.__new__  # it has all its fields
            return [make(LogEntry, (time, stream, f"{text}\n" if ends else text)) for text, ends, stream, time in found]
    entries = (_parse(line) for line in lines.split(b"\n")[:-1])
    return [entry for entry in entries if entry is not None]


def _parse(line: bytes) -> LogEntry | None:
    try:
        fields = json.loads(line)
        return LogEntry(str(fields["time"]), str(fields["stream"]), str(fields["log"]))
    except (ValueError, KeyError, TypeError):
        return None
