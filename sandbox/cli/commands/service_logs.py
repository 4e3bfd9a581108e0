"""`sandbox service logs`: what the replicas of a service wrote, each line with the name of its task."""

from __future__ import annotations

import os

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.errors import NotFoundError, UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.reconciler_calls import SERVICE_LABEL
from sandbox.service import looking
from sandbox.service.container_request import TASK_LABEL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.container.model.record import Container
    from sandbox.container.view.log_entries import LogEntry
    from sandbox.container.view.logs import LogSelection
    from sandbox.operation_context import OperationContext


def logs(invocation: Invocation) -> int:
    """Print the logs of a service or a task, stdout and stderr apart; with -f what comes after too."""
    from sandbox.container.view.log_selection import read_selection

    word, where = invocation.arguments[0], invocation.context.for_operations()
    selection = read_selection(invocation.text("since") or "", "", invocation.text("tail") or "all")
    width = _width(where, word, raw=invocation.flag("raw"))
    if invocation.flag("follow"):
        _follow(invocation, selection, width)
        return 0
    for (task, service, _), entry in looking.logs(where, word, selection):
        slot = 0 if service.spec.mode.is_global else task.slot
        _show(invocation, _Source(service.id, service.name, slot, task.id, task.container_id), entry, width)
    return 0


class _Source(NamedTuple):
    """Whose an entry is."""

    service_id: str
    service: str
    #: 0 of a service that has one on each machine
    slot: int
    task_id: str
    container_id: str


def _source_of(container: Container) -> _Source:
    """Of labels: the task's row may be gone."""
    labels = dict(container.config.labels)
    task_id, service = labels[TASK_LABEL], labels["com.docker.swarm.service.name"]
    slot = labels["com.docker.swarm.task.name"].removeprefix(f"{service}.").partition(".")[0]
    return _Source(labels[SERVICE_LABEL], service, int(slot) if slot.isdigit() else 0, task_id, container.id)


def _follow(invocation: Invocation, selection: LogSelection, width: int) -> None:
    """Show what is there and what comes, also of tasks that come later, until the service is removed; of one task until
    it has ended.
    """
    from sandbox.container.following import LogSink, Newcomers, follow_logs
    from sandbox.service.log_sources import log_sources

    where = invocation.context.for_operations()
    sources = log_sources(where, invocation.arguments[0])

    def tell(container: Container, entry: LogEntry) -> None:
        _show(invocation, _source_of(container), entry, width)

    sink = LogSink(tell, lambda _container, _code: None)
    are_over = sources.are_over if sources.service_id else None
    newcomers = Newcomers(sources.last_event, sources.takes, are_over)
    follow_logs(where, sources.containers, selection, newcomers, sink, 1)


def _show(invocation: Invocation, source: _Source, entry: LogEntry, width: int) -> None:
    from sandbox.container.session.attach import write_all

    prefix = f"{entry.time} " if invocation.flag("timestamps") else ""
    if not invocation.flag("raw"):
        prefix += f"{_name(invocation, source)}{' ' * (width - len(str(source.slot)))}    | "
    if invocation.flag("details"):
        from sandbox.container import operations as containers
        from sandbox.container.view.log_details import log_details

        prefix += f"{log_details(containers.look_up(invocation.context.for_operations(), source.container_id).config)} "
    write_all(2 if entry.stream == "stderr" else 1, (prefix + entry.text).encode(errors="surrogateescape"))


def _width(where: OperationContext, word: str, *, raw: bool) -> int:
    """The digits of the highest slot. Raises UsageError for a terminal's output, whose lines are no lines."""
    try:
        service = looking.inspect(where, word)
        slots = service.spec.mode.replicas
    except NotFoundError as error:
        try:
            task, service, _ = looking.inspect_task(where, word)
        except NotFoundError:
            error.message = f"no such task or service: {word}"
            raise error from None
        slots = task.slot
    if service.spec.request.terminal and not raw:
        raise UsageError("tty service logs only supported with --raw", mend=f"sandbox service logs --raw {word}")
    return len(str(slots))


def _name(invocation: Invocation, source: _Source) -> str:
    name = f"{source.service_id if invocation.flag('no-resolve') else source.service}.{source.slot}"
    if not invocation.flag("no-task-ids"):
        name += f".{source.task_id if invocation.flag('no-trunc') else source.task_id[:12]}"
    return f"{name}@{os.uname().nodename}"


COMMANDS: tuple[Command, ...] = (
    Command(
        "service logs",
        "Fetch the logs of a service or task",
        "[OPTIONS] SERVICE|TASK",
        (
            option("--details", "flag", "Show extra details provided to logs"),
            option("-f --follow", "flag", "Follow log output"),
            option("--no-resolve", "flag", "Do not map IDs to Names in output"),
            option("--no-task-ids", "flag", "Do not include task IDs in output"),
            option("--no-trunc", "flag", "Do not truncate output"),
            option("--raw", "flag", "Do not neatly format logs"),
            option("--since", "text", "Show logs since timestamp (2013-01-02T13:23:37Z) or relative (42m)", "string"),
            option("-n --tail", "text", "Number of lines to show from the end of the logs", "string", "all"),
            option("-t --timestamps", "flag", "Show timestamps"),
        ),
        logs,
        least=1,
        most=1,
        examples=("sandbox service logs -f --tail 20 web",),
        further=("-f goes on until it is interrupted or the service is removed; that of one task ends with the task",),
    ),
)
