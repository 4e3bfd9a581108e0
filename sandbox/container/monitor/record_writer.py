"""What a monitor writes down, now or when a full disk has room again; in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from sandbox.state import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.model.record import ContainerState
    from sandbox.container.monitor.reactor import Reactor

    Change = Callable[[ContainerState], ContainerState]

_WRITE_AGAIN_SECONDS = 2.0
#: an hour of them; the next command finds the record without its monitor then, and says so
_MOST_WRITES = 1800


class Journal(Protocol):
    """The record itself."""

    def update(self, change: Change) -> ContainerState | None:
        """None where the container is gone, or another process's."""

    def end(self, change: Change) -> ContainerState | None:
        """The last change, by which the container is given back."""

    def remove(self, change: Change) -> None:
        """Remove the container, its files and its anonymous volumes (--rm); `change` is how it ended."""


class RecordWriter:
    """Writes changes to a journal. After `end` or `remove` there are no more."""

    def __init__(self, journal: Journal, reactor: Reactor) -> None:
        self._journal = journal
        self._reactor = reactor
        #: what a full disk has not taken yet, oldest first
        self._unwritten: list[Change] = []
        self._failed_writes = 0
        self._is_last = False
        #: whether the last one is written, or given up
        self.is_done = False
        self._on_done: Callable[[], None] = lambda: None

    def write(self, change: Change) -> bool:
        """Whether the container is still ours."""
        self._unwritten.append(change)
        return self._write_down()

    def end(self, change: Change) -> None:
        """Write the last change."""
        self._is_last = True
        self.write(change)

    def remove(self, change: Change) -> None:
        """Remove the container, which has ended so."""
        try:
            self._journal.remove(change)
        except DatabaseError:
            self._again(lambda: self.remove(change))
        else:
            self._done()

    def when_done(self, act: Callable[[], None]) -> None:
        """Call `act` once the last change is written; now, where it is."""
        self._on_done = act
        if self.is_done:
            act()

    def _write_down(self) -> bool:
        changes = tuple(self._unwritten)
        if not changes:
            return True

        def change_all(state: ContainerState) -> ContainerState:
            for change in changes:
                state = change(state)
            return state

        write = self._journal.end if self._is_last else self._journal.update
        try:
            kept = write(change_all)
        except DatabaseError:
            self._again(self._write_down)
            return True
        self._unwritten.clear()
        self._failed_writes = 0
        if self._is_last:
            self._done()
        return kept is not None

    def _done(self) -> None:
        self.is_done = True
        self._on_done()

    def _again(self, write: Callable[[], object]) -> None:
        def again() -> None:
            write()

        self._failed_writes += 1
        if self._failed_writes <= _MOST_WRITES:
            self._reactor.after(_WRITE_AGAIN_SECONDS, again)
        elif self._is_last or not self._unwritten:
            self._done()
