"""The logs of many containers at once: what they hold, and what is written, also by those that start later."""

from __future__ import annotations

import time
from heapq import merge

from sandbox.container.view.log_following import LogFollower
from sandbox.container.view.logs import read_log
from sandbox.errors import NotFoundError
from sandbox.event_stream import EventWatch
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sandbox.container.model.record import Container
    from sandbox.container.view.log_entries import LogEntry
    from sandbox.container.view.logs import LogSelection
    from sandbox.events import Happened
    from sandbox.operation_context import OperationContext


class LogSink(NamedTuple):
    """Who is told: of an entry, that a container's life is over, with its exit code, and what a hook writes."""

    entry: Callable[[Container, LogEntry], None]
    ended: Callable[[Container, int], None]
    hook: Callable[[str, bytes], None] | None = None


class Newcomers(NamedTuple):
    """Which events tell of a container that is to be followed too; those after the event with the id `after`."""

    after: int
    takes: Callable[[Happened], bool]
    #: of which event it is that nobody comes any more; None: when none of those that are followed runs any more
    are_over: Callable[[Happened], bool] | None = None


def read_logs(context: OperationContext, containers: Sequence[Container], selection: LogSelection) -> Iterator[
    tuple[Container, LogEntry]
]:  # fmt: skip
    """The selected entries of all, the oldest first."""
    logs = [_of(each, read_log(context.paths.container_data(each.id), selection)) for each in containers]
    return merge(*logs, key=lambda found: found[1].time)


def _of(container: Container, entries: Iterator[LogEntry]) -> Iterator[tuple[Container, LogEntry]]:
    for entry in entries:
        yield container, entry


def follow_logs(
    context: OperationContext,
    containers: Sequence[Container],
    selection: LogSelection,
    newcomers: Newcomers,
    sink: LogSink,
    output_fd: int = -1,
) -> None:
    """Tell what the logs hold, the oldest first, and then what is written, until no container is left that runs and
    nobody is to come, or `until` has come. Raises BrokenPipeError where `output_fd` has lost its reader.
    """
    following = _Following(context, selection, newcomers, sink, output_fd)
    try:
        following.begin(containers)
        following.run()
    finally:
        following.close()


class _Following:
    def __init__(
        self,
        context: OperationContext,
        selection: LogSelection,
        newcomers: Newcomers,
        sink: LogSink,
        output_fd: int,
    ) -> None:
        self._context = context
        self._selection = selection
        self._newcomers = newcomers
        self._more_come = newcomers.are_over is not None
        self._sink = sink
        self._watch = EventWatch(context.paths, newcomers.after, output_fd)
        self._followed: dict[int, tuple[Container, LogFollower]] = {}
        #: times of the last entries, by container
        self._told: dict[str, str] = {}
        #: exit codes of containers that may be gone before they are asked
        self._exit_codes: dict[str, int] = {}

    def begin(self, containers: Sequence[Container]) -> None:
        """Follow those that run; of the others there is what they wrote."""
        opened = [(each, LogFollower(self._context.paths, each, self._selection)) for each in containers]
        try:
            for container, entry in merge(
                *(_of(each, follower.read_kept()) for each, follower in opened), key=lambda found: found[1].time
            ):
                self._tell(container, entry)
        finally:
            for each, follower in opened:
                self._keep(each, follower)

    def _keep(self, container: Container, follower: LogFollower) -> None:
        if follower.descriptor < 0:
            follower.close()
            return
        self._followed[follower.descriptor] = (container, follower)
        self._watch.watch(follower.descriptor)

    def run(self) -> None:
        while self._followed or self._more_come:
            left = self._seconds_left()
            if left is not None and left <= 0:
                return
            happened, ready = self._watch.wait(left)
            for one in happened:
                self._take(one)
            for descriptor in ready:
                self._read(descriptor)

    def _tell(self, container: Container, entry: LogEntry) -> None:
        self._told[container.id] = entry.time
        self._sink.entry(container, entry)

    def _seconds_left(self) -> float | None:
        return (self._selection.until_ns - time.time_ns()) / 1e9 if self._selection.until_ns else None

    def _take(self, happened: Happened) -> None:
        event = happened.event
        if self._newcomers.are_over is not None and self._newcomers.are_over(happened):
            self._more_come = False
        if event.kind != "container":
            return
        if event.action == "die":
            code = event.attributes.get("exitCode", "")
            self._exit_codes[event.actor] = int(code) if code.isdigit() else 0
        # one that is followed is looked at again at its end
        is_followed = any(container.id == event.actor for container, _ in self._followed.values())
        if event.action == "start" and not is_followed and self._newcomers.takes(happened):
            self._follow_anew(event.actor)

    def _follow_anew(self, container_id: str) -> bool:
        """Follow a container from its last start on; whether it runs."""
        from sandbox.container.monitor.log_writer import timestamp
        from sandbox.container.operations import look_up

        try:
            container = look_up(self._context, container_id)
        except NotFoundError:
            return False
        if container.config.log.driver == "none":
            return False
        since = self._selection._replace(since=timestamp(container.state.started_ns), tail=None)
        follower = LogFollower(self._context.paths, container, since)
        told = self._told.get(container_id, "")
        for entry in follower.read_kept():
            # it may have started between the look at it and the look at its log
            if entry.time > told:
                self._tell(container, entry)
        runs = follower.descriptor >= 0
        self._keep(container, follower)
        if not runs:
            # it may have run at the look at it: how it ended says the next one
            self._settle(container)
        return runs

    def _read(self, descriptor: int) -> None:
        container, follower = self._followed[descriptor]
        goes_on = follower.take()
        for entry in follower.read_added():
            self._tell(container, entry)
        if goes_on:
            return
        self._watch.unwatch(descriptor)
        del self._followed[descriptor]
        follower.close()
        self._settle(container)

    def _settle(self, container: Container) -> None:
        """Its monitor has ended: it has, too, or another one has begun."""
        from sandbox.container.operations import look_up

        code = self._exit_codes.pop(container.id, 0)
        try:
            present = look_up(self._context, container.id)
        except NotFoundError:
            self._sink.ended(container, code)
            return
        if present.state.monitor_pid and present.state.started_ns != container.state.started_ns:
            self._follow_anew(container.id)
        else:
            self._sink.ended(present, present.state.exit_code)

    def close(self) -> None:
        for _, follower in self._followed.values():
            follower.close()
        self._watch.close()
