"""What happens to containers and the rest, read once for all clients that want to know, while there are any."""

from __future__ import annotations

import math
import os
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from sandbox.event_stream import EventReader, WakeupPace, watch_writes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from sandbox.events import Happened
    from sandbox.paths import Paths

#: events that a client may be behind; one that is further behind has lost some
_BEHIND = 20_000


class Subscription:
    """The events since it was made, in order."""

    def __init__(self) -> None:
        self._events: deque[Happened] = deque(maxlen=_BEHIND)
        self._news = trio.Event()

    def add(self, happened: Happened) -> None:
        """One more has happened."""
        self._events.append(happened)
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[Happened]:
        while True:
            while self._events:
                yield self._events.popleft()
            self._news = trio.Event()
            await self._news.wait()

    async def next(self) -> Happened:
        """The next one; waits for it."""
        while not self._events:
            self._news = trio.Event()
            await self._news.wait()
        return self._events.popleft()


class EventHub:
    """Follows the events while anybody is subscribed."""

    def __init__(self, paths: Paths, nursery: trio.Nursery) -> None:
        self._paths = paths
        self._nursery = nursery
        self._subscriptions: set[Subscription] = set()
        self._following: trio.CancelScope | None = None

    @contextmanager
    def subscribed(self) -> Iterator[Subscription]:
        """The events from now on. Raises SandboxError where there is no store."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        if self._following is None:
            # watched before anything is read: what is written in between is told
            watch, reader = watch_writes(self._paths.data_root), EventReader(self._paths)
            reader.pass_over()
            self._following = trio.CancelScope()
            self._nursery.start_soon(self._follow, self._following, watch, reader)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            if not self._subscriptions and self._following is not None:
                self._following.cancel()
                self._following = None

    async def _follow(self, scope: trio.CancelScope, watch: int, reader: EventReader) -> None:
        pace = WakeupPace(is_woken=watch >= 0)
        try:
            with scope:
                while True:
                    for happened in reader.read_added():
                        for subscription in self._subscriptions:
                            subscription.add(happened)
                    delay = pace.next_delay()
                    with trio.move_on_after(math.inf if delay is None else delay):
                        if watch < 0:
                            await trio.sleep_forever()
                        await trio.lowlevel.wait_readable(watch)
                        os.read(watch, 64 * 1024)
                        pace.woken()
        finally:
            reader.close()
            if watch >= 0:
                os.close(watch)
