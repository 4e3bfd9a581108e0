"""Clients that are joined to a container before it is started: each start hands them the way to its monitor."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import trio

from sandbox.container.monitor.plan import Attachment

if TYPE_CHECKING:
    from sandbox.api.monitor_line import MonitorLine


class Wanted(NamedTuple):
    """The streams that a client is joined to."""

    stdin: bool
    stdout: bool
    stderr: bool


class Waiting:
    """One client that waits; `line` is there when `is_ready`."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.is_ready = trio.Event()
        self.line: MonitorLine | None = None


class Parked:
    """The clients that wait, by the container's id."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Waiting]] = {}

    def add(self, container_id: str, wanted: Wanted) -> Waiting:
        """One more, who is let go of with `forget`."""
        waiting = Waiting(wanted)
        self._waiting.setdefault(container_id, []).append(waiting)
        return waiting

    def forget(self, container_id: str, waiting: Waiting) -> None:
        """It has gone, or is served."""
        others = self._waiting.get(container_id, [])
        if waiting in others:
            others.remove(waiting)
        if not others:
            self._waiting.pop(container_id, None)

    def attachment(self, container_id: str) -> Attachment:
        """What of the container's streams those who wait want, all together."""
        wanted = [waiting.wanted for waiting in self._waiting.get(container_id, [])]
        return Attachment(
            any(each.stdin for each in wanted), any(each.stdout for each in wanted), any(each.stderr for each in wanted)
        )

    def hand_over(self, container_id: str, line: MonitorLine) -> None:
        """Give the way to the monitor to all who wait."""
        for waiting in self._waiting.pop(container_id, []):
            waiting.line = line
            waiting.is_ready.set()
            line.expect()
        line.may_end()
