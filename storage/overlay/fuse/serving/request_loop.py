"""Where pyfuse3's loop waits for the kernel's next request, made short.

pyfuse3 takes a lock and asks trio for readiness before each request: two passes of the scheduler, several times what
it takes to answer from memory. It offers a place to put another event loop (`pyfuse3.asyncio.enable` puts asyncio
there). What we put there is trio still, with a short way for the usual case: the task that has the turn to read goes
on to receive, where it sleeps in read(2) until there is a request (fuse(4)), and is woken by a tick when there is none.

    task with the turn: receive ─▶ handler answers at once ─▶ receive …        no other task runs
                                └▶ handler must wait (`blocking`): wakes one that is parked, which takes the turn

While work is under way in threads the task does not wait by itself: trio must hear of their end.
"""

from __future__ import annotations

import select
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pyfuse3
import trio

from storage.overlay.fuse.serving.busy_wait import BusyWait
from storage.overlay.fuse.serving.interval_signal import IntervalSignal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

T = TypeVar("T")
TASKS = 64
"""How many requests may be under way."""
_THREADS = 8
_LOOKS = 256  # requests after which other tasks (signals) get a chance


class _Now:
    """What is awaited without waiting: a coroutine that does nothing would be made anew each time."""

    __slots__ = ()
    # a method of C, which takes no frame of Python's
    __await__ = staticmethod(().__iter__)


#: an iterator is all that await needs, typing wants a generator
_NOW = cast("Awaitable[None]", _Now())


class _Readers:
    """pyfuse3's nursery. One that ends saw the mount gone: the parked ones are told."""

    def __init__(self, nursery: trio.Nursery, end: Callable[[], None]) -> None:
        self._nursery = nursery
        self._end = end

    def start_soon(self, reader: Callable[..., Awaitable[Any]], *arguments: Any, name: object = None) -> None:
        self._nursery.start_soon(self._run, reader, arguments, name=name)

    async def _run(self, reader: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]) -> None:
        try:
            await reader(*arguments)
        finally:
            self._end()


class RequestLoop:
    """Stands where pyfuse3 looks for trio; has what it uses of it."""

    ClosedResourceError = trio.ClosedResourceError
    current_task = staticmethod(trio.lowlevel.current_task)
    current_trio_token = staticmethod(trio.lowlevel.current_trio_token)

    def __init__(self) -> None:
        self.lowlevel = self
        self._poll = select.poll()
        self._polled = -1
        self._waits = 0
        self._look = self._poll.poll
        self._next = BusyWait(self._look).next
        self._tick = IntervalSignal(self._on_tick)
        self._looks = _LOOKS
        self._looks_at_tick = 0
        self._limiter: trio.CapacityLimiter | None = None
        self._parked = trio.lowlevel.ParkingLot()
        self._held = False
        self._ended = False

    def install(self) -> None:
        """Have pyfuse3 wait here."""
        # through setattr: the name is not in pyfuse3's stubs
        setattr(pyfuse3, "trio", self)  # noqa: B010

    @asynccontextmanager
    async def open_nursery(self) -> AsyncIterator[_Readers]:
        """Where pyfuse3 runs its readers."""
        async with trio.open_nursery() as nursery:
            yield _Readers(nursery, self._end)
        self._tick.stop()

    def _end(self) -> None:
        self._ended = True
        self._parked.unpark_all()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """While this lasts other requests are answered, and trio is asked for whatever else may go on."""
        self._waits += 1
        self._parked.unpark()
        try:
            yield
        finally:
            self._waits -= 1

    async def blocking(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns, called in a thread while other requests are answered."""
        if self._limiter is None:
            self._limiter = trio.CapacityLimiter(_THREADS)
        with self.waiting():
            return await trio.to_thread.run_sync(function, *arguments, limiter=self._limiter)

    async def until(self, event: trio.Event) -> None:
        """Wait for the event while other requests are answered."""
        with self.waiting():
            await event.wait()

    def Lock(self) -> RequestLoop:  # noqa: N802  # trio's name
        """The turn to read; as the lock that pyfuse3 wants."""
        return self

    def __aenter__(self) -> Awaitable[None]:
        if self._held:
            return self._wait_for_turn()
        self._held = True
        return _NOW

    async def _wait_for_turn(self) -> None:
        while self._held:
            await self._parked.park()
        self._held = True

    def __aexit__(self, *_exception: object) -> Awaitable[None]:
        self._held = False
        if self._ended:
            self._parked.unpark_all()
        return _NOW

    def wait_readable(self, fd: int) -> Awaitable[None]:
        """Return when there is a request, or the mount is gone, or where the task may wait in read(2) itself."""
        if not self._looks or self._waits:
            return self._wait_readable(fd)
        self._looks -= 1
        if fd != self._polled:
            self._poll.register(fd, select.POLLIN)
            self._polled = fd
        if not self._next():
            if not self._tick.runs:
                self._tick.start()
            if not self._tick.runs:
                # on a busy machine it may come and be stopped before this line, and would wake nobody in read(2)
                return self._wait_readable(fd)
        return _NOW

    async def _wait_readable(self, fd: int) -> None:
        if self._looks and self._look(0):
            self._looks -= 1
            return
        self._looks = _LOOKS
        await trio.lowlevel.wait_readable(fd)

    def _on_tick(self) -> None:
        """Have a task that sleeps in read(2) go to trio, which knows of signals, if no request came since the last."""
        # the last one itself had the task look once more
        if self._looks_at_tick - self._looks in (0, 1):
            self._looks = 0
            self._tick.stop()
        self._looks_at_tick = self._looks

    def notify_closing(self, fd: int) -> None:
        """Let all that wait see that the session is over."""
        self._end()
        trio.lowlevel.notify_closing(fd)
