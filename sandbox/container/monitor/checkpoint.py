"""Checkpoints of the database by a program beside the monitor: SQLite waits for the disk meanwhile, fsync(2).

Commands do theirs when they commit. A monitor does none in its loop; where nobody but monitors writes for long, as
under a container that restarts again and again, the write-ahead log would grow without end.
"""

from __future__ import annotations

import os
import sys

_PROGRAM = "import _sqlite3, sys; _sqlite3.connect(sys.argv[1]).execute('PRAGMA wal_checkpoint(PASSIVE)')"


class Checkpoints:
    """The checkpoints that one process has begun, at most one at a time."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._pid = 0

    def begin(self) -> None:
        """Begin one, and do not wait for it; nothing happens while one is under way."""
        if self.is_idle() and sys.executable:
            # executed, not forked: a child that has this process's connection must not open one of its own
            words = [sys.executable, "-IS", "-c", _PROGRAM, self._database]
            self._pid = os.posix_spawn(sys.executable, words, {})

    def is_idle(self) -> bool:
        """Whether none is under way; one that has ended is reaped."""
        if self._pid and os.waitpid(self._pid, os.WNOHANG)[0]:
            self._pid = 0
        return not self._pid
