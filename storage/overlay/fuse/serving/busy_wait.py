"""Looking again and again for the next request, for as long as that has been quicker than to sleep.

A program that works through many files asks again some microseconds after each answer. To be woken for each of its
requests takes longer than to answer it, in a virtual machine several times as long; so the server stays awake between
them, as the kernel does for network devices (SO_BUSY_POLL, socket(7)) and for idle guests (halt_poll_ns). It does so
while requests come in time, and gives way to whatever else wants the processor.
"""

from __future__ import annotations

import os
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_AWAKE_NS = 100_000
_LATE_NS = 8_000  # a sched_yield(2) that took this long let somebody else work, the client itself perhaps
_REST_NS = 1_000_000  # how long the others are left alone then: twice as long each time
_LONGEST_REST_NS = 32_000_000
_UNDISTURBED = 32  # requests that came in time, after which a rest is short again
_MOST_TRUST = 32
_LOST_TRUST = 8


class BusyWait:
    """`look` is poll(2) for the descriptor of the requests, and takes milliseconds.

    `trust` says how well staying awake has paid: it rises with each request that came in time, also where the server
    slept, and falls with each that did not.
    """

    def __init__(self, look: Callable[[int], list[Any]], now: Callable[[], int] = perf_counter_ns) -> None:
        self._look = look
        self._now = now
        self._trust = 0
        self._asked = 0
        self._rest_ns = _REST_NS
        self._rest_until = 0
        self._undisturbed = 0

    def next(self) -> list[Any]:
        """What `look` finds while it pays to stay awake; nothing where the caller had better sleep."""
        start = self._now()
        if self._trust > 0:
            if start > self._rest_until:
                return self._stay_awake(start)
        elif start - self._asked < _AWAKE_NS:
            self._trust += 1
        self._asked = start
        return []

    def _stay_awake(self, start: int) -> list[Any]:
        look, last = self._look, start
        while last - start < _AWAKE_NS:
            found = look(0)
            if found:
                if self._trust < _MOST_TRUST:
                    self._trust += 1
                self._undisturbed += 1
                if self._undisturbed == _UNDISTURBED:
                    self._rest_ns = _REST_NS
                return found
            os.sched_yield()
            now = self._now()
            if now - last > _LATE_NS:
                self._rest_until = now + self._rest_ns
                self._rest_ns = min(2 * self._rest_ns, _LONGEST_REST_NS)
                self._undisturbed = 0
                return []
            last = now
        self._trust -= _LOST_TRUST
        return []
