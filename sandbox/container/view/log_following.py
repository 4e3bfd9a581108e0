"""`logs -f`: a log as it grows. The monitor tells when there is more; nothing is polled."""

from __future__ import annotations

import time

from sandbox.container.life.stop import is_active, open_channel
from sandbox.container.view.logs import LogReader, entries_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.container.model.record import Container
    from sandbox.container.view.log_entries import LogBlock, LogEntry
    from sandbox.container.view.logs import LogSelection
    from sandbox.paths import Paths
    from sandbox.protocol.channel import Channel


def follow_log(paths: Paths, container: Container, selection: LogSelection) -> Iterator[Iterator[LogBlock]]:
    """The selected entries, then those that are written until the container's life is over or `until` has come: those
    that are there at once together, each to be read to its end.
    """
    follower = LogFollower(paths, container, selection)
    try:
        yield follower.kept_blocks()
        while follower.wait():
            yield follower.added_blocks()
        yield follower.added_blocks()
    finally:
        follower.close()


class LogFollower:
    """Reads a log as it grows. `descriptor` can be read when the monitor tells of more, or has ended; -1 where the
    container does not run.
    """

    def __init__(self, paths: Paths, container: Container, selection: LogSelection) -> None:
        """Raises SandboxError where the monitor hangs."""
        self._selection = selection
        self._reader = LogReader(paths.container_data(container.id), selection)
        # connected before the first read: what is written in between is then told of
        self._channel = open_channel(paths, container) if is_active(container) else None

    @property
    def descriptor(self) -> int:
        return self._channel.connection.fileno() if self._channel is not None else -1

    def read_kept(self) -> Iterator[LogEntry]:
        """What there is, as selected; from then on the monitor tells of more."""
        return entries_of(self.kept_blocks())

    def kept_blocks(self) -> Iterator[LogBlock]:
        """As `read_kept`, in blocks."""
        yield from self._reader.kept_blocks()
        if self._channel is not None:
            self._channel.send_message("follow")

    def read_added(self) -> Iterator[LogEntry]:
        """What was written since the last read."""
        return self._reader.read_added()

    def added_blocks(self) -> Iterator[LogBlock]:
        """As `read_added`, in blocks."""
        return self._reader.added_blocks()

    def wait(self) -> bool:
        """Wait for the monitor to tell that the log has grown; False where it has ended, or `until` has come first."""
        return self._channel is not None and _is_told_of_more(self._channel, self._selection)

    def take(self) -> bool:
        """What the descriptor has to be read for; False where the monitor has ended."""
        if self._channel is None or not self._channel.fill():
            return False
        self._channel.pending.clear()
        return True

    def close(self) -> None:
        self._reader.close()
        if self._channel is not None:
            self._channel.close()


def _is_told_of_more(channel: Channel, selection: LogSelection) -> bool:
    if not selection.until:
        return channel.receive() is not None
    left = (selection.until_ns - time.time_ns()) / 1e9
    if left <= 0:
        return False
    channel.connection.settimeout(left)
    try:
        return channel.receive() is not None
    except TimeoutError:
        return False
