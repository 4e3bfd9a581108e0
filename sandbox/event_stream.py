"""Reading events: those that are kept, those to come, and which of them are wanted.

The kernel wakes a follower: writers append to the write-ahead log beside the database, and inotify(7) tells of it. The
directory is watched, for that log goes with the last connection. What wakes is no commit yet: a writer that syncs
makes its rows seen some milliseconds after its last write, and nothing tells of that. So a follower looks again for a
while, more and more seldom; a look asks SQLite whether anything was committed, and costs microseconds.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import contextmanager, suppress

from sandbox.event_followers import begin_following
from sandbox.events import Happened, last_event_id, read_events
from sandbox.grammar.filters import FilterError, Filters, parse_filters
from sandbox.named_tuple import NamedTuple
from sandbox.state import connect_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Generator, Iterator, Sequence
    from types import TracebackType

    from sandbox.paths import Paths

_NS = 10**9
#: Docker's keys, and `action`, which is what the field is called; those of Swarm and plugins match nothing here
_KEYS = (
    "action", "config", "container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope",
    "secret", "service", "type", "volume",
)  # fmt: skip
#: actions that end in what was run or found
_LONG_ACTIONS = ("exec_create", "exec_start", "health_status")
#: of a follower that is not woken: inotify(7) has a limit for each user
_POLL_SECONDS = 0.1


class Selection(NamedTuple):
    """Which events. Without `since_ns` those to come, and with `until_ns` alone all that are kept; ns since 1970."""

    since_ns: int | None = None
    until_ns: int | None = None
    filters: Filters = Filters({})

    def takes(self, happened: Happened) -> bool:
        """Whether it is wanted, as Docker decides."""
        if self.until_ns is not None and happened.time_ns > self.until_ns:
            return False
        return _passes(self.filters, happened)


def read_event_filters(texts: Sequence[str]) -> Filters:
    """The filters given. Raises UsageError, and FilterError for a key there is not."""
    values = dict(parse_filters(texts, _KEYS).values)
    actions = values.pop("action", ())
    if actions:
        values["event"] = (*values.get("event", ()), *actions)
    return Filters(values)


def of_container(container_id: str, actions: tuple[str, ...], since_ns: int) -> Selection:
    """What happens to one container of these kinds, from then on."""
    return Selection(since_ns, filters=Filters({"container": (container_id,), "event": actions}))


def check_times(since: tuple[str, int] | None, until: tuple[str, int] | None) -> None:
    """Raise FilterError where the one, as typed and in ns, is after the other."""
    if since is not None and until is not None and until[1] < since[1]:
        raise FilterError(f"`since` time ({since[0]}) cannot be after `until` time ({until[0]})", mend="--since 10m")


def _passes(filters: Filters, happened: Happened) -> bool:
    _id, _time, (kind, action, actor, attributes) = happened
    name = attributes.get("name", "")
    image = name if kind == "image" else attributes.get("image", "")
    whole = not any(text in _LONG_ACTIONS for text in filters.of("event"))
    return (
        filters.match("event", lambda text: action == text if whole else action.startswith(text))
        and filters.match_exact("type", kind)
        and filters.match_exact("scope", "local")
        and filters.match_exact("image", actor, image, _without_tag(actor), _without_tag(image))
        and all(
            filters.match(key, lambda text: actor.startswith(text) or name.startswith(text))
            for key in ("container", "volume", "network", "plugin", "daemon", "config", "secret")
        )
        and not any(filters.given(key) for key in ("node", "service"))
        and (not filters.given("label") or filters.match_labels(attributes))
    )


def _without_tag(text: str) -> str:
    head, colon, tag = text.partition("@")[0].rpartition(":")
    return head if colon and "/" not in tag else text.partition("@")[0]


def stream_events(paths: Paths, selection: Selection, output_fd: int = -1) -> Iterator[list[Happened]]:
    """The selected events, then those to come until `until_ns`; several at once where they are there.

    Raises BrokenPipeError when `output_fd` has lost its reader, whom nothing can be told any more.
    """
    with counted_as_follower(paths, selection), _Follower(paths, output_fd) as follower:
        history = selection.since_ns is not None or selection.until_ns is not None
        for happened in follower.follow(selection.since_ns or 0, selection.until_ns, with_history=history):
            taken = [one for one in happened if selection.takes(one)]
            if taken:
                yield taken


@contextmanager
def counted_as_follower(paths: Paths, selection: Selection) -> Iterator[None]:
    """Meanwhile those who have many events to tell know that they are read, where it is these."""
    fd, filters = -1, selection.filters
    if filters.match_exact("type", "container") and filters.match("event", lambda text: text.startswith("exec_")):
        # a full disk, say: they are not told then
        with suppress(OSError):
            fd = begin_following(paths)
    try:
        yield
    finally:
        if fd >= 0:
            os.close(fd)


class EventReader:
    """Reads what is committed, in order; between two looks it holds no transaction."""

    def __init__(self, paths: Paths, after: int = 0) -> None:
        """What has at most the id `after` is not read."""
        self._paths = paths
        self._connection = connect_state(paths, durable=False)
        self._file = os.stat(paths.database)
        self._seen_version = -1
        self._last = after

    def close(self) -> None:
        self._connection.close()

    def pass_over(self) -> None:
        """What is kept so far is not read."""
        self._last = last_event_id(self._connection)

    def read_added(self, since_ns: int = 0) -> list[Happened]:
        """What was committed since the last look; a look at nothing new costs microseconds."""
        if not self.has_changed():
            return []
        added = list(read_events(self._connection, after=self._last, since_ns=since_ns))
        if added:
            self._last = added[-1].id
        return added

    @property
    def connection(self) -> sqlite3.Connection:
        return self._connection

    def has_changed(self) -> bool:
        """Whether another process may have committed something since this was asked last."""
        if self._was_replaced():
            # a repair made another one, with what it could read of the old one's events
            self._connection.close()
            self._connection = connect_state(self._paths, durable=False, checked=False)
            self._file = os.stat(self._paths.database)
            self._seen_version = -1
            if last_event_id(self._connection) < self._last:
                self._last = 0
        (version,) = self._connection.execute("PRAGMA data_version").fetchone()
        seen, self._seen_version = self._seen_version, int(version)
        return seen != self._seen_version

    def _was_replaced(self) -> bool:
        try:
            present = os.stat(self._paths.database)
        except FileNotFoundError:
            return False
        return not os.path.samestat(present, self._file) and present.st_size > 0


def watch_changes(paths: Paths, longest_seconds: float | None = None) -> Generator[sqlite3.Connection, None, None]:
    """The database, to be read now and each time that another process has committed something, and after so long."""
    wakeups = _Wakeups(paths.data_root, -1)
    try:
        reader = EventReader(paths)
        try:
            yielded = time.monotonic()
            while True:
                if reader.has_changed() or (
                    longest_seconds is not None and time.monotonic() - yielded >= longest_seconds
                ):
                    yielded = time.monotonic()
                    yield reader.connection
                left = None if longest_seconds is None else max(0.0, longest_seconds - (time.monotonic() - yielded))
                wakeups.wait(left)
        finally:
            reader.close()
    finally:
        wakeups.close()


class _Follower:
    """Reads events, woken by those who write them."""

    def __init__(self, paths: Paths, output_fd: int) -> None:
        # watched before anything is read: what is written in between is told
        self._wakeups = _Wakeups(paths.data_root, output_fd)
        self._reader = EventReader(paths)

    def __enter__(self) -> _Follower:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._reader.close()
        self._wakeups.close()

    def follow(self, since_ns: int, until_ns: int | None, *, with_history: bool) -> Iterator[list[Happened]]:
        """What is kept since then, and all that comes, until then."""
        if not with_history:
            self._reader.pass_over()
        while True:
            # the clock before the look: what was written until then is seen by it
            now_ns = time.time_ns()
            if added := self._reader.read_added(since_ns):
                yield added
            if until_ns is not None and now_ns >= until_ns:
                return
            self._wakeups.wait(None if until_ns is None else (until_ns - now_ns) / _NS)


class WakeupPace:
    """When a follower looks again. One that is not woken looks often."""

    def __init__(self, *, is_woken: bool) -> None:
        self._is_woken = is_woken
        self._woken = time.monotonic()
        self._delay = 0.0

    def woken(self) -> None:
        """Something was written."""
        self._woken, self._delay = time.monotonic(), 0.0

    def next_delay(self) -> float | None:
        """Seconds until the next look; None for one that is woken first."""
        if not self._is_woken:
            return _POLL_SECONDS
        quiet = time.monotonic() - self._woken
        if quiet < 1.0:
            # a sync of the disk, as a rule
            self._delay = min(max(0.001, 2 * self._delay), 0.05)
            return self._delay
        # as long as any writer waits for another
        return 1.0 if quiet < 30.0 else None


class EventWatch:
    """Events after the one with the id `after`, waited for together with other descriptors."""

    def __init__(self, paths: Paths, after: int, output_fd: int = -1) -> None:
        # watched before anything is read: what is written in between is told
        self._wakeups = _Wakeups(paths.data_root, output_fd)
        self._reader = EventReader(paths, after)

    def watch(self, fd: int) -> None:
        """Wait for this one to be readable as well, until it is unwatched; before it is closed."""
        self._wakeups.watch(fd)

    def unwatch(self, fd: int) -> None:
        self._wakeups.unwatch(fd)

    def wait(self, longest_seconds: float | None = None) -> tuple[list[Happened], frozenset[int]]:
        """What has happened since the last time, and which descriptors can be read. It returns when there may be
        something, at the latest after so long. Raises BrokenPipeError.
        """
        ready = self._wakeups.wait(longest_seconds)
        return self._reader.read_added(), ready

    def close(self) -> None:
        self._reader.close()
        self._wakeups.close()


class _Wakeups:
    """Waits for writes to the directory of the database, and for what else is watched."""

    def __init__(self, directory: str, output_fd: int) -> None:
        self._fd = watch_writes(directory)
        self._output_fd = output_fd
        self._pace = WakeupPace(is_woken=self._fd >= 0)
        self._poller = select.poll()
        if self._fd >= 0:
            self._poller.register(self._fd, select.POLLIN)
        if output_fd >= 0:
            # errors and hang-ups come unasked
            self._poller.register(output_fd, 0)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def watch(self, fd: int) -> None:
        self._poller.register(fd, select.POLLIN)

    def unwatch(self, fd: int) -> None:
        self._poller.unregister(fd)

    def wait(self, longest_seconds: float | None) -> frozenset[int]:
        """Return when there may be something to see, at the latest after so long; which of the others can be read.
        Raises BrokenPipeError.
        """
        ready = set()
        delay = self._pace.next_delay()
        if longest_seconds is not None:
            delay = longest_seconds if delay is None else min(delay, longest_seconds)
        for fd, events in self._poller.poll(None if delay is None else max(1, int(delay * 1000))):
            if fd == self._fd:
                # what it is does not matter
                os.read(self._fd, 64 * 1024)
                self._pace.woken()
            elif fd != self._output_fd:
                ready.add(fd)
            elif events & (select.POLLERR | select.POLLHUP):
                raise BrokenPipeError
        return frozenset(ready)


def watch_writes(directory: str) -> int:
    """A descriptor that can be read when something is written in the directory; -1 where the kernel gives none."""
    from sandbox.runtime.syscalls import IN_CREATE, IN_MODIFY, IN_MOVED_TO, inotify_add_watch, inotify_init1

    try:
        fd = inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return -1
    try:
        inotify_add_watch(fd, directory, IN_MODIFY | IN_CREATE | IN_MOVED_TO)
    except OSError:
        os.close(fd)
        return -1
    return fd
