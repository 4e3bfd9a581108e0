"""When a monitor rests (`runtime/rests.py`): nothing has happened for two seconds, and nobody is served.

A rest saves megabytes, and its end costs some hundredths of a second: who is woken too soon rests later.
"""

from __future__ import annotations

import time

from sandbox.container.model.runtime_files import PROCESS_NAME
from sandbox.container.monitor.task import Task
from sandbox.errors import HostError
from sandbox.named_tuple import NamedTuple
from sandbox.state import DatabaseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.monitor.journal import DatabaseJournal
    from sandbox.container.monitor.monitor import Monitor
    from sandbox.runtime.reactor import Reactor

_QUIET_SECONDS = 2.0
#: after several rests that were not worth their end
_LONGEST_QUIET_SECONDS = 300.0
#: a rest that is shorter; of a timer that is due sooner this is known before
_WORTH_SECONDS = 60.0


class RestPlaces(NamedTuple):
    """Where files are kept that can be made again, and the file where faults are told."""

    cache: str
    log_path: str


class Resting:
    """From `begin` on it is a part of what is written down."""

    def __init__(self, places: RestPlaces, reactor: Reactor, journal: DatabaseJournal, monitor: Monitor) -> None:
        self._places = places
        self._reactor = reactor
        self._journal = journal
        self._monitor = monitor
        self._rested_at = 0.0
        #: how many there were one after the other
        self._short_rests = 0
        #: of the file with this program's code; -1 before there was one
        self._code_fd = -1
        self._task: Task | None = None

    def begin(self) -> None:
        """From now on have the monitor rest while there is nothing to do."""
        # one may be short by chance, or for the end of who carried the ports a moment ago
        quiet = _QUIET_SECONDS * 4 ** max(0, self._short_rests - 1)
        self._reactor.when_quiet(min(quiet, _LONGEST_QUIET_SECONDS), self._rest_if_possible)

    def go_on(self) -> None:
        """In a new interpreter: be the monitor, to the end."""
        rested = time.monotonic() - self._rested_at
        self._short_rests = self._short_rests + 1 if rested < _WORTH_SECONDS else 0
        self._journal.go_on()
        self.begin()
        self._monitor.go_on()

    def _rest_if_possible(self) -> None:
        try:
            self._rest_if_free()
        except (ImportError, OSError):
            # descriptors are few, and what cannot be opened is not found
            self._code_found(-1)

    def _rest_if_free(self) -> None:
        left = self._reactor.seconds_left()
        if self._task is not None or not self._monitor.is_at_rest or (left is not None and left < _WORTH_SECONDS):
            return
        if self._code_fd < 0:
            from sandbox.runtime.rests import find_code_steps  # a start does without

            self._task = Task(self._reactor, find_code_steps(self._places.cache), self._code_found, self._not_found)
            self._task.begin()
        if self._code_fd >= 0:
            self._rest(left)

    def _code_found(self, fd: int) -> None:
        self._task = None
        self._code_fd = fd
        if fd < 0:
            # looked for again much later: there may be room
            self._reactor.when_quiet(_LONGEST_QUIET_SECONDS, self._rest_if_possible)

    def _not_found(self, _error: Exception) -> None:
        self._code_found(-1)

    def _rest(self, seconds: float | None) -> None:
        """Returns where that cannot be."""
        from sandbox.runtime.rests import RestPlan, rest

        self._rested_at = time.monotonic()
        epoll_fd, signals = self._reactor.epoll.fileno(), self._reactor.signals
        try:
            rest(self, RestPlan(PROCESS_NAME, epoll_fd, signals, seconds, self._code_fd, self._places.log_path))
        except (DatabaseError, HostError):
            return  # the database cannot be opened just now
