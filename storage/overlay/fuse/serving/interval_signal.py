"""A signal again and again, that wakes who sleeps in a system call: setitimer(2), signal(7) on interrupted calls."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_SECONDS = 0.005


class IntervalSignal:
    """Calls `on_tick` each 5 ms while it runs, in the main thread, whatever that waits for.

    It comes again until it is stopped: one that came just before the call was entered would have woken nobody.
    """

    def __init__(self, on_tick: Callable[[], None]) -> None:
        self._on_tick = on_tick
        self._prepared = False
        self.runs = False

    def start(self) -> None:
        """Have it run. Only the main thread can."""
        if not self._prepared:
            signal.signal(signal.SIGALRM, self._handle)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGALRM,))
            self._prepared = True
        self.runs = True
        signal.setitimer(signal.ITIMER_REAL, _SECONDS, _SECONDS)

    def stop(self) -> None:
        """Have it rest."""
        if self.runs:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.runs = False

    def _handle(self, *_signal: object) -> None:
        self._on_tick()
