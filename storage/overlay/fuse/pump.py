"""Where pyfuse3's loop waits for the kernel's next request, made short.

pyfuse3 takes a lock and asks trio for readiness before each request: two passes of the scheduler, several times what
it takes to answer from memory. It offers a place to put another event loop (`pyfuse3.asyncio.enable` puts asyncio
there). What we put there is trio still, with a short way for the usual case: the task that has the turn to read looks
itself, for some milliseconds, whether a request is there, and goes to trio's scheduler when there is none.

    task with the turn: look ─▶ receive ─▶ handler answers at once ─▶ look …        no other task runs
                                       └▶ handler must wait (`blocking`): wakes one that is parked, which takes the turn

While work is under way in threads the task does not wait by itself: trio must hear of their end.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any, TypeVar, cast

import pyfuse3
import trio

from storage.overlay.fuse.busy_wait import BusyWait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")
TASKS = 64
"""How many requests may be under way."""
_THREADS = 8
_LOOK_MS = 3
_LOOKS = 256  # requests after which other tasks (signals) get a chance


class _Now:
    """What is awaited without waiting: a coroutine that does nothing would be made anew each time."""

    __slots__ = ()

    def __await__(self) -> Iterator[None]:
        return iter(())


#: an iterator is all that await needs, typing wants a generator
_NOW = cast("Awaitable[None]", _Now())


class Pump:
    """Stands where pyfuse3 looks for trio; has what it uses of it."""

    open_nursery = staticmethod(trio.open_nursery)
    ClosedResourceError = trio.ClosedResourceError
    current_task = staticmethod(trio.lowlevel.current_task)
    current_trio_token = staticmethod(trio.lowlevel.current_trio_token)

    def __init__(self) -> None:
        self.lowlevel = self
        self._poll = select.poll()
        self._polled = -1
        self._jobs = 0
        self._look = self._poll.poll
        self._next = BusyWait(self._look).next
        self._looks = _LOOKS
        self._limiter: trio.CapacityLimiter | None = None
        self._waiting = trio.lowlevel.ParkingLot()
        self._held = False
        self._ended = False

    def install(self) -> None:
        """Have pyfuse3 wait here."""
        # through setattr: the name is not in pyfuse3's stubs
        setattr(pyfuse3, "trio", self)  # noqa: B010

    async def blocking(self, function: Callable[..., T], *arguments: Any) -> T:
        """What the function returns, called in a thread while other requests are answered."""
        if self._limiter is None:
            self._limiter = trio.CapacityLimiter(_THREADS)
        self._jobs += 1
        self._waiting.unpark()
        try:
            return await trio.to_thread.run_sync(function, *arguments, limiter=self._limiter)
        finally:
            self._jobs -= 1

    async def until(self, event: trio.Event) -> None:
        """Wait for the event while other requests are answered."""
        self._waiting.unpark()
        await event.wait()

    def Lock(self) -> Pump:  # noqa: N802  # trio's name
        """The turn to read; as the lock that pyfuse3 wants."""
        return self

    def __aenter__(self) -> Awaitable[None]:
        if self._held:
            return self._wait_for_turn()
        self._held = True
        return _NOW

    async def _wait_for_turn(self) -> None:
        while self._held:
            await self._waiting.park()
        self._held = True

    def __aexit__(self, *_exception: object) -> Awaitable[None]:
        self._held = False
        if self._ended:
            self._waiting.unpark_all()
        return _NOW

    def wait_readable(self, fd: int) -> Awaitable[None]:
        """Return when there is a request, or the mount is gone."""
        if fd != self._polled:
            self._poll.register(fd, select.POLLIN)
            self._polled = fd
        if self._looks:
            self._looks -= 1
            found = self._look(0) if self._jobs else self._next(_LOOK_MS)
            if found:
                # what is more than readable is over
                self._ended |= found[0][1] != select.POLLIN
                return _NOW
        return self._wait_readable(fd)

    async def _wait_readable(self, fd: int) -> None:
        self._looks = _LOOKS
        await trio.lowlevel.wait_readable(fd)
        for _fd, event in self._look(0):
            self._ended |= event != select.POLLIN

    def notify_closing(self, fd: int) -> None:
        """Let all that wait see that the session is over."""
        self._ended = True
        self._waiting.unpark_all()
        trio.lowlevel.notify_closing(fd)
