"""`logs -f`: the log as it grows. The monitor tells when there is more; nothing is polled."""

from __future__ import annotations

import time

from sandbox.container.life.stop import is_active, open_channel
from sandbox.container.view.logs import LogReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.container.model.record import Container
    from sandbox.container.view.logs import LogEntry, LogSelection
    from sandbox.paths import Paths
    from sandbox.protocol.channel import Channel


def follow_log(paths: Paths, container: Container, selection: LogSelection) -> Iterator[LogEntry]:
    """The selected entries, then those that are written until the container's life is over or `until` has come."""
    reader = LogReader(paths.container_data(container.id), selection)
    # connected before the first read: what is written in between is then told of
    channel = open_channel(paths, container) if is_active(container) else None
    try:
        yield from reader.read_kept()
        if channel is not None:
            channel.send_message("follow")
            while _is_told_of_more(channel, selection):
                yield from reader.read_added()
            yield from reader.read_added()
    finally:
        reader.close()
        if channel is not None:
            channel.close()


def _is_told_of_more(channel: Channel, selection: LogSelection) -> bool:
    """Wait for the monitor to tell that the log has grown; false where it has ended, or `until` has come first."""
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
