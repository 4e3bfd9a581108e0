"""Reading a container's log: `logs` with its selections, across rotated files, and following what is still written."""

from __future__ import annotations

import json
import os
from collections import deque
from typing import TYPE_CHECKING

from sandbox.container.log_writer import LOG_NAME
from sandbox.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_BLOCK = 64 * 1024


class LogEntry(NamedTuple):
    """One piece of output; `time` is RFC 3339 in UTC with nine digits, so texts compare as times do."""

    time: str
    stream: str
    text: str


class LogSelection(NamedTuple):
    """Which entries: `since` and `until` as `LogEntry.time`; `tail` counts from the end, None is all."""

    since: str = ""
    until: str = ""
    tail: int | None = None

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
    """Reads a log that may be written meanwhile: first what is there, then what was added since."""

    def __init__(self, directory: str, selection: LogSelection) -> None:
        self._path = f"{directory}/{LOG_NAME}"
        self._selection = selection
        self._fd = -1
        self._partial = b""

    def read_kept(self) -> Iterator[LogEntry]:
        """What the log holds, the rotated files first, as selected."""
        if self._selection.tail == 0:
            for _entry in self._read_all():
                pass
            return iter(())
        chosen = (entry for entry in self._read_all() if self._selection.takes(entry))
        if self._selection.tail is None:
            return chosen
        return iter(deque(chosen, maxlen=self._selection.tail))

    def read_added(self) -> Iterator[LogEntry]:
        """What was written since the last read, through any rotation that happened meanwhile."""
        yield from filter(self._selection.takes, self._read_open())
        while self._was_rotated():
            following = self._file_after()
            self.close()
            self._fd = following
            yield from filter(self._selection.takes, self._read_open())

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._partial = b""

    def _read_all(self) -> Iterator[LogEntry]:
        for path in _files(self._path):
            self.close()
            try:
                self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            yield from self._read_open()

    def _read_open(self) -> Iterator[LogEntry]:
        while self._fd >= 0 and (block := os.read(self._fd, _BLOCK)):
            *lines, self._partial = (self._partial + block).split(b"\n")
            for line in lines:
                entry = _parse(line)
                if entry is not None:
                    yield entry

    def _was_rotated(self) -> bool:
        try:
            newest = os.stat(self._path)
        except FileNotFoundError:
            return False
        if self._fd < 0:
            return True
        mine = os.fstat(self._fd)
        return (newest.st_dev, newest.st_ino) != (mine.st_dev, mine.st_ino)

    def _file_after(self) -> int:
        """The file that follows the one being read: its successor where it is still kept, else the oldest kept."""
        mine = os.fstat(self._fd).st_ino if self._fd >= 0 else -1
        fds = [os.open(path, os.O_RDONLY | os.O_CLOEXEC) for path in _files(self._path)]
        inodes = [os.fstat(fd).st_ino for fd in fds]
        position = inodes.index(mine) + 1 if mine in inodes else 0
        position = min(position, len(fds) - 1)
        for number, fd in enumerate(fds):
            if number != position:
                os.close(fd)
        return fds[position]


def _files(path: str) -> list[str]:
    """The files of a log that exist, the oldest first."""
    number = 1
    while os.path.exists(f"{path}.{number}"):
        number += 1
    older = [f"{path}.{n}" for n in range(number - 1, 0, -1)]
    return [*older, path] if os.path.exists(path) else older


def _parse(line: bytes) -> LogEntry | None:
    """The entry on one line; None where it is damaged, as a line is that a full disk cut short."""
    try:
        fields = json.loads(line)
        return LogEntry(str(fields["time"]), str(fields["stream"]), str(fields["log"]))
    except (ValueError, KeyError, TypeError):
        return None
