"""`logs -f`: the log as it grows. The monitor tells when there is more; nothing is polled."""

from __future__ import annotations

from sandbox.container.life.stop import is_active, open_channel
from sandbox.container.monitor.log_writer import timestamp
from sandbox.container.view.logs import LogReader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.container.model.record import Container
    from sandbox.container.view.logs import LogEntry, LogSelection
    from sandbox.paths import Paths


def follow_log(paths: Paths, container: Container, selection: LogSelection) -> Iterator[LogEntry]:
    """The selected entries, then those that are written until the container's life is over or `until` has come."""
    reader = LogReader(paths.container_data(container.id), selection)
    # connected before the first read: what is written in between is then told of
    channel = open_channel(paths, container) if is_active(container) else None
    try:
        yield from reader.read_kept()
        if channel is not None:
            channel.send_message("follow")
            while channel.receive() is not None:
                yield from reader.read_added()
                if selection.until and _now() > selection.until:
                    return
            yield from reader.read_added()
    finally:
        reader.close()
        if channel is not None:
            channel.close()


def _now() -> str:
    import time

    return timestamp(time.time_ns())
