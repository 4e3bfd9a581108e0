"""What the tasks of a service have written, as the API sends it: each line tells whose it is."""

from __future__ import annotations

import os
from contextlib import suppress

from sandbox.api.log_frames import LogWriter
from sandbox.container.following import LogSink, Newcomers, follow_logs, read_logs
from sandbox.container.view.log_details import log_details
from sandbox.reconciler_calls import SERVICE_LABEL
from sandbox.service.container_request import TASK_LABEL
from sandbox.service.log_sources import log_sources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.api.log_frames import LogForm
    from sandbox.container.model.record import Container
    from sandbox.container.view.log_entries import LogEntry
    from sandbox.container.view.logs import LogSelection
    from sandbox.operation_context import OperationContext

#: what Docker's client tells the lines of tasks apart by, in the order of their names
_CONTEXT = ("com.docker.swarm.node.id", SERVICE_LABEL, TASK_LABEL)


def write_logs(context: OperationContext, word: str, selection: LogSelection, form: LogForm, output_fd: int) -> None:
    """The logs of a service or a task go to a descriptor. Raises NotFoundError."""
    sources = log_sources(context, word)
    details: dict[str, str] = {}
    with suppress(BrokenPipeError), os.fdopen(os.dup(output_fd), "wb", buffering=0) as output:
        writer = LogWriter(form, output.write)

        def write(container: Container, entry: LogEntry) -> None:
            if container.id not in details:
                details[container.id] = _details(container) if form.details else ""
            writer.add(entry, details[container.id], terminal=container.config.terminal)

        if form.follow:
            sink = LogSink(write, lambda _container, _code: None)
            are_over = sources.are_over if sources.service_id else None
            newcomers = Newcomers(sources.last_event, sources.takes, are_over)
            follow_logs(context, sources.containers, selection, newcomers, sink, output.fileno())
        else:
            for container, entry in read_logs(context, sources.containers, selection):
                write(container, entry)
        writer.flush()


def _details(container: Container) -> str:
    labels = dict(container.config.labels)
    named = [f"{name}={labels.get(name, '')}" for name in _CONTEXT]
    own = log_details(container.config)
    return ",".join(sorted([*named, *([own] if own else [])]))
