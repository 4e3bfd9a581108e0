"""The event loop of small processes (monitor, exec session, prepared process): epoll, timers, signals, nothing else.

Plain callbacks and no trio: a monitor stays for as long as its container, so its memory is counted for each, and trio
alone is more than the rest of the process. One thread; a callback runs to its end before the next one starts.
"""

from __future__ import annotations

import heapq
import os
import select
import signal
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
_LONGEST_WAIT_SECONDS = 86400.0


class Timer:
    """A callback to come, at `deadline` in seconds of the monotonic clock; `cancel` may be called at any time, and
    again.
    """

    def __init__(self, deadline: float, callback: Callable[[], None]) -> None:
        self.deadline = deadline
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None

    def __lt__(self, other: Timer) -> bool:
        return self.deadline < other.deadline


class _Signal:
    """What is done at a signal: the handler makes a descriptor readable, for which the loop calls `callback`."""

    def __init__(self, fd: int, owner: int, callback: Callable[[], None]) -> None:
        self._fd = fd
        self._owner = owner
        self._callback = callback

    def note(self, _number: int, _frame: object) -> None:
        # a forked child has this handler until it sets its own
        if os.getpid() == self._owner:
            os.eventfd_write(self._fd, 1)

    def told(self, _events: int) -> None:
        os.eventfd_read(self._fd)
        self._callback()


class _Quiet:
    """That nothing happens for `seconds`, counted from the last time that something did."""

    def __init__(self, seconds: float, act: Callable[[], None]) -> None:
        self._seconds = seconds
        self._act = act
        self._deadline: float | None = 0.0
        self.begin()

    def begin(self) -> None:
        self._deadline = time.monotonic() + self._seconds

    def patience(self, timeout: float | None) -> float | None:
        """How long to wait for something to happen."""
        if self._deadline is None:
            return timeout
        left = max(0.0, self._deadline - time.monotonic())
        return left if timeout is None else min(left, timeout)

    def is_over(self) -> bool:
        return self._deadline is not None and self._deadline <= time.monotonic()

    def act(self) -> None:
        self._deadline = None
        self._act()


class Reactor:
    """Descriptors and timers, each with the callback that owns it. Descriptors stay the caller's to close."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._events: dict[int, int] = {}
        self._timers: list[Timer] = []
        self._signals: dict[int, _Signal] = {}
        self._quiet: _Quiet | None = None
        self._running = False

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback` with the ready events of `fd`; a second call changes what is watched.

        With `events` 0 a hang-up is still told, as epoll(7) always does; use `forget` to be rid of that.
        """
        self._callbacks[fd] = callback
        if fd not in self._events:
            self._epoll.register(fd, events)
        elif self._events[fd] != events:
            self._epoll.modify(fd, events)
        self._events[fd] = events

    def forget(self, fd: int) -> None:
        """Stop watching; before `fd` is closed. Twice is safe."""
        if self._events.pop(fd, None) is not None:
            self._epoll.unregister(fd)
        self._callbacks.pop(fd, None)

    def watch_signal(self, number: int, callback: Callable[[], None]) -> int:
        """Call `callback` in the loop when the signal comes; returns the descriptor for `forget_signal`."""
        fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._signals[number] = watched = _Signal(fd, os.getpid(), callback)
        self.watch(fd, READ, watched.told)
        signal.signal(number, watched.note)
        return fd

    @property
    def signals(self) -> tuple[int, ...]:
        """Those that are watched."""
        return tuple(self._signals)

    def take_up_signals(self) -> None:
        """In a new interpreter: watch what was watched before; they were blocked meanwhile."""
        for number, watched in self._signals.items():
            signal.signal(number, watched.note)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._signals)

    def forget_signal(self, number: int, fd: int) -> None:
        """The signal does what it does by default, from now on."""
        signal.signal(number, signal.SIG_DFL)
        self._signals.pop(number, None)
        self.forget(fd)
        os.close(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` once, in the loop, when the time is over."""
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def run(self) -> None:
        """Serve until `stop` is called, or nothing is left to wait for."""
        self._running = True
        while self._running:
            timeout = self._next_timeout()
            if timeout is None and not self._events:
                break
            happened = self._epoll.poll(timeout if self._quiet is None else self._quiet.patience(timeout))
            for fd, events in happened:
                # an earlier callback of this round may have forgotten it
                callback = self._callbacks.get(fd)
                if callback is not None:
                    callback(events)
            if (self._run_timers() or happened) and self._quiet is not None:
                self._quiet.begin()
            elif self._quiet is not None and self._quiet.is_over():
                self._quiet.act()

    def when_quiet(self, seconds: float, act: Callable[[], None]) -> None:
        """Call `act` when nothing has happened for so long, once each time."""
        self._quiet = _Quiet(seconds, act)

    @property
    def epoll(self) -> select.epoll:
        """Readable when something has happened, but for timers."""
        return self._epoll

    def seconds_left(self) -> float | None:
        """How long to the next timer; None where there is none."""
        return self._next_timeout()

    def stop(self) -> None:
        self._running = False

    def close(self) -> None:
        self._epoll.close()

    def _next_timeout(self) -> float | None:
        """Seconds to the next timer; None where there is none, cancelled ones being dropped here."""
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        # epoll_wait(2) counts milliseconds in an int; it wakes early then, and finds nothing due
        return min(max(0.0, self._timers[0].deadline - time.monotonic()), _LONGEST_WAIT_SECONDS)

    def _run_timers(self) -> bool:
        """Whether there was one."""
        now = time.monotonic()
        has_run = False
        while self._timers and self._timers[0].deadline <= now:
            callback = heapq.heappop(self._timers).callback
            if callback is not None:
                callback()
                has_run = True
        return has_run
