"""What a monitor writes down, in order: now, or when another writer has done or a full disk has room again."""

from __future__ import annotations

from sandbox.container.monitor.task import Task
from sandbox.errors import HostError
from sandbox.named_tuple import NamedTuple
from sandbox.state import DatabaseError, is_busy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.container.monitor.roles import Journal, Note
    from sandbox.runtime.reactor import Reactor
    from sandbox.values import RestartPolicy

#: another writer is done in a moment; each wait is longer than the one before
_FIRST_WAIT_SECONDS = 0.01
_LONGEST_WAIT_SECONDS = 0.5
#: so much later than the first try those who wait for a write are told as if it was written
_PATIENCE_TRIES = 70
_FULL_DISK_SECONDS = 2.0
#: an hour of them; the next command finds the record without its monitor then, and says so
_MOST_TRIES = 1800


class _Entry(NamedTuple):
    notes: tuple[Note, ...]
    then: Callable[[], None]


def _nothing() -> None:
    pass


def _follow(entries: Sequence[_Entry]) -> None:
    for entry in entries:
        entry.then()


class RecordWriter:
    """Writes changes to a journal, and never waits for that. After `end` there are no more.

    What follows from a change is told to be done when the change is written; on a full disk at once, for that may
    last, and nobody who waits for a container can be told less for it. `lost` is called where a change that had to
    wait finds the container gone, or another process's.
    """

    def __init__(self, journal: Journal, reactor: Reactor, lost: Callable[[], None]) -> None:
        self._journal = journal
        self._reactor = reactor
        self._lost = lost
        #: what is not written yet, oldest first
        self._unwritten: list[_Entry] = []
        self._tries = 0
        self._is_waiting = False
        self._is_last = self._is_removal = False
        #: whether the last one is written, or given up
        self.is_done = False
        self._on_done: Callable[[], None] = _nothing

    def write_first(self, *notes: Note) -> bool:
        """Write before clients are served: waits for other writers, and raises DatabaseError; whether the container is
        still ours.
        """
        return self._journal.update(*notes) is not None

    def hurry(self) -> None:
        """From now on nobody is waited for: clients are served."""
        self._journal.hurry()

    def restart_policy(self) -> RestartPolicy | None:
        """The one that is kept now; None where that cannot be read."""
        try:
            return self._journal.restart_policy()
        except (DatabaseError, HostError):
            return None

    def write(self, note: Note, then: Callable[[], None] = _nothing) -> bool:
        """Write, and call `then`; whether the container is still ours, as far as is known."""
        return not self._is_last and self._take(_Entry((note,), then))

    def end(self, notes: tuple[Note, ...], then: Callable[[], None]) -> None:
        """Write the last change, and what is told with it."""
        self._is_last = True
        self._take(_Entry(notes, then))

    def remove(self, notes: tuple[Note, ...], then: Callable[[], None]) -> None:
        """Remove the container, which has ended so, and call `then`."""
        self._is_last = self._is_removal = True
        self._unwritten = [_Entry((*self._notes(), *notes), then)]
        self._remove()

    def _remove(self) -> None:
        steps = self._journal.remove_steps(*self._notes())
        Task(self._reactor, steps, lambda _: self._removed(), self._not_removed).begin()

    def _take(self, entry: _Entry) -> bool:
        self._unwritten.append(entry)
        return self._is_waiting or self._write_down()

    def _notes(self) -> tuple[Note, ...]:
        return tuple(note for entry in self._unwritten for note in entry.notes)

    def when_done(self, act: Callable[[], None]) -> None:
        """Call `act` once the last change is written, or given up; now, where it is."""
        self._on_done = act
        if self.is_done:
            act()

    def _write_down(self) -> bool:
        entries = tuple(self._unwritten)
        write = self._journal.end if self._is_last else self._journal.update
        try:
            kept = write(*self._notes())
        except (DatabaseError, HostError) as error:
            self._try_again(error, self._write_again)
            return True
        self._unwritten.clear()
        self._tries = 0
        _follow(entries)
        if self._is_last:
            self._done()
        return kept is not None

    def _try_again(self, error: Exception, again: Callable[[], None]) -> None:
        busy = is_busy(error)
        self._tries += 1
        if not busy or self._tries > _PATIENCE_TRIES:
            entries, self._unwritten = self._unwritten, [entry._replace(then=_nothing) for entry in self._unwritten]
            _follow(entries)
        if self._tries <= _MOST_TRIES:
            self._is_waiting = True
            # no more than a few doublings are of use
            wait = min(_FIRST_WAIT_SECONDS * 2 ** min(self._tries, 9), _LONGEST_WAIT_SECONDS)
            self._reactor.after(wait if busy else _FULL_DISK_SECONDS, again)
        elif self._is_last:
            self._done()

    def _write_again(self) -> None:
        self._is_waiting = False
        if not self._is_removal and not self._write_down():
            self._lost()

    def _not_removed(self, error: Exception) -> None:
        if isinstance(error, (DatabaseError, HostError)):
            self._try_again(error, self._remove)
        else:
            # what cannot be removed now is not removed later either: the record says that it was begun
            self._removed()

    def _removed(self) -> None:
        _follow(self._unwritten)
        self._done()

    def _done(self) -> None:
        self.is_done = True
        self._on_done()
