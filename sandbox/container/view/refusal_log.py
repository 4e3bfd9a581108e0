"""What a container was kept from by its rules of egress, as its log: it is kept as events, as long as those are."""

from __future__ import annotations

import time

from sandbox.container.model.events import REFUSED
from sandbox.container.model.store import load_container
from sandbox.container.monitor.log_writer import timestamp
from sandbox.container.view.log_entries import LogEntry
from sandbox.event_stream import of_container, stream_events
from sandbox.events import read_events
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.container.model.record import Container
    from sandbox.container.view.logs import LogSelection
    from sandbox.events import Happened
    from sandbox.paths import Paths

_RUNS = ("running", "paused", "restarting")


def refusal_log(paths: Paths, container: Container, selection: LogSelection, *, follow: bool) -> Iterator[LogEntry]:
    """The selected entries; with `follow` also those to come, until the container ends."""
    now_ns = time.time_ns()
    wanted = of_container(container.id, (REFUSED,), 0)
    with open_state(paths, durable=False) as connection:
        kept = [_entry(one) for one in read_events(connection) if wanted.takes(one)]
    kept = [entry for entry in kept if _is_selected(entry, selection)]
    yield from kept if selection.tail is None else kept[len(kept) - min(selection.tail, len(kept)) :]
    if not follow or not _runs(paths, container):
        return
    until_ns = selection.until_ns or None
    following = of_container(container.id, (REFUSED, "die", "destroy"), now_ns)._replace(until_ns=until_ns)
    for batch in stream_events(paths, following):
        yield from (_entry(one) for one in batch if one.event.action == REFUSED)
        if any(one.event.action != REFUSED for one in batch) and not _runs(paths, container):
            return


def _entry(happened: Happened) -> LogEntry:
    text = f"egress refused: {happened.event.attributes.get('destination', '')}\n"
    return LogEntry(timestamp(happened.time_ns), "stdout", text)


def _is_selected(entry: LogEntry, selection: LogSelection) -> bool:
    return entry.time >= selection.since and (not selection.until or entry.time <= selection.until)


def _runs(paths: Paths, container: Container) -> bool:
    with open_state(paths, durable=False) as connection:
        present = load_container(connection, container.id)
    return present is not None and present.state.status in _RUNS
