"""Reading a container's log: `logs` with its selections, across rotated files, and following what is still written."""

from __future__ import annotations

import json
import time
from collections import deque
from itertools import chain

from sandbox.container.monitor.log_files import LOG_NAME, LogFile, is_log_file, open_log_file, without_count
from sandbox.container.view.log_entries import LogBlock, parse_lines
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.container.view.log_entries import LogEntry

#: so many numbers may be free between two files: a rotation that is under way or was killed leaves one
_GAP = 1


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
    return entries_of(read_blocks(directory, selection))


def read_blocks(directory: str, selection: LogSelection) -> Iterator[LogBlock]:
    """As `read_log`, in blocks."""
    reader = LogReader(directory, selection)
    try:
        yield from reader.kept_blocks()
    finally:
        reader.close()


def entries_of(blocks: Iterator[LogBlock]) -> Iterator[LogEntry]:
    """The entries of blocks, each read when it is wanted."""
    return chain.from_iterable(block.entries() for block in blocks)


class LogReader:
    """Reads a log that may be written, rotated and compressed meanwhile: first what is there, then what was added.

    It goes from each file to the one that follows, which it knows by what they are and not by what they are called.
    Where files went before it came to them, an entry of ours on stderr says how many lines these had.
    """

    def __init__(self, directory: str, selection: LogSelection) -> None:
        self._path = f"{directory}/{LOG_NAME}"
        self._selection = selection
        self._file: LogFile | None = None
        self._content: Iterator[bytes] = iter(())
        self._number = 0
        self._partial = b""
        #: lines in all files up to where it has come, as far as that is known
        self._position = 0
        #: where it should have come by then, of a file that is entered; -1 where anything is right
        self._expected = -1
        self._is_fresh = False

    def read_kept(self) -> Iterator[LogEntry]:
        """What the log holds, the oldest first, as selected."""
        return entries_of(self.kept_blocks())

    def read_added(self) -> Iterator[LogEntry]:
        """What was written since the last read, through any rotation that happened meanwhile."""
        return entries_of(self.added_blocks())

    def kept_blocks(self) -> Iterator[LogBlock]:
        """As `read_kept`, in blocks."""
        if self._selection.tail is None:
            self._enter(self._oldest())
            return self.added_blocks()
        return iter([LogBlock(b"", self._read_tail(self._selection.tail))])

    def added_blocks(self) -> Iterator[LogBlock]:
        """As `read_added`, in blocks."""
        yield from self._read_selected()
        while (following := self._find_following()) is not None:
            # what was written to the old file after the read above, and before there was a new one
            yield from self._read_selected()
            expected = self._position if self._file else -1
            self._enter(following)
            self._expected = expected
            yield from self._read_selected()

    def close(self) -> None:
        self._enter(None)

    def _read_tail(self, count: int) -> list[LogEntry]:
        """The last `count` entries: older files are opened only where newer ones have too few."""
        self._enter(_file_from(self._path, 0, 1))
        chosen = list(deque(entries_of(self._read_selected()), maxlen=count))
        before = LogReader(self._path.removesuffix(f"/{LOG_NAME}"), self._selection)
        number, file = self._number, self._file
        while file is not None and len(chosen) < count:
            # a rotation since may have given it another number
            place = self._position_of(file.identity, number)
            older = None if place is None else _file_from(self._path, place + 1, place + 2 + _GAP)
            before._enter(older)
            found = deque(entries_of(before._read_selected()), maxlen=count - len(chosen))
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
        self._position, self._expected, self._is_fresh = 0, -1, True

    def _read_selected(self) -> Iterator[LogBlock]:
        chooses = self._selection.since or self._selection.until
        for lines in self._read_open():
            yield LogBlock(b"", list(filter(self._selection.takes, parse_lines(lines)))) if chooses else LogBlock(lines)

    def _read_open(self) -> Iterator[bytes]:
        while self._file is not None and (block := next(self._content, b"")):
            content = self._partial + block
            end = content.rfind(b"\n") + 1
            lines, self._partial = content[:end], content[end:]
            if self._is_fresh and lines:
                self._is_fresh = False
                self._position, lines = without_count(lines)
                if 0 <= self._expected < self._position:
                    yield _lost(self._position - self._expected, lines)
            self._position += lines.count(b"\n")
            if lines:
                yield lines

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


def _lost(count: int, lines: bytes) -> bytes:
    """What stands for lines that are gone, before those that are there."""
    from sandbox.container.monitor.log_writer import timestamp  # few readers are that slow

    following = parse_lines(lines[: lines.find(b"\n") + 1])
    when = following[0].time if following else timestamp(time.time_ns())
    many = "1 line" if count == 1 else f"{count} lines"
    text = f"sandbox: {many} of output lost here: the log was rotated before it was read\n"
    return json.dumps({"log": text, "stream": "stderr", "time": when}, separators=(",", ":")).encode() + b"\n"
