"""What containers print, and being joined to them: logs, attach."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.container import operations
from sandbox.errors import UsageError

if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.container.view.logs import LogEntry, LogSelection


def logs(invocation: Invocation) -> int:
    """Print a container's log, stdout and stderr apart; with -f what comes after too."""
    entries = operations.logs(
        invocation.context.for_operations(),
        invocation.arguments[0],
        _selection(invocation),
        follow=invocation.flag("follow"),
    )
    timestamps = invocation.flag("timestamps")
    # what `--details` puts before each line: the labels and variables that log options name; there are none yet
    details = " " if invocation.flag("details") else ""
    for entry in entries:
        _show(entry, timestamps=timestamps, details=details)
    return 0


def _selection(invocation: Invocation) -> LogSelection:
    from sandbox.container.view.logs import LogSelection

    tail = invocation.text("tail") or "all"
    lines: int | None = None
    if tail != "all":
        try:
            lines = int(tail)
        except ValueError:
            raise UsageError(f"invalid value for --tail: {tail}", mend="--tail 100, or --tail all") from None
        # Docker: a negative number is all
        lines = None if lines < 0 else lines
    return LogSelection(_moment(invocation, "since"), _moment(invocation, "until"), lines)


def _moment(invocation: Invocation, key: str) -> str:
    """A time as log entries write it, so that the texts compare as the times do; "" where none was given."""
    text = invocation.text(key)
    if not text:
        return ""
    from time import time_ns

    from sandbox.container.monitor.log_writer import timestamp
    from sandbox.grammar.filters import parse_time

    return timestamp(max(0, parse_time(text, time_ns())))


def _show(entry: LogEntry, *, timestamps: bool, details: str) -> None:
    from sandbox.container.session.attach import write_all

    prefix = (f"{entry.time} " if timestamps else "") + details
    write_all(2 if entry.stream == "stderr" else 1, (prefix + entry.text).encode(errors="surrogateescape"))


def attach(invocation: Invocation) -> int:
    """Join this command's streams to a running container's."""
    from sandbox.cli.joining import read_joining

    context = invocation.context.for_operations()
    joining = read_joining(invocation, stdin=not invocation.flag("no-stdin"))
    joined = operations.attach(context, invocation.arguments[0], joining)
    return operations.carry(context, joined, joining) or 0


COMMANDS: tuple[Command, ...] = (
    Command(
        "container logs",
        "Fetch the logs of a container",
        "[OPTIONS] CONTAINER",
        (
            option("--details", "flag", "Show extra details provided to logs"),
            option("-f --follow", "flag", "Follow log output"),
            option("--since", "text", "Show logs since timestamp (2013-01-02T13:23:37Z) or relative (42m)", "string"),
            option("-n --tail", "text", "Number of lines to show from the end of the logs", "string", "all"),
            option("-t --timestamps", "flag", "Show timestamps"),
            option("--until", "text", "Show logs before a timestamp or relative (42m for 42 minutes)", "string"),
        ),
        logs,
        least=1,
        most=1,
        examples=("sandbox logs -f --tail 100 web",),
    ),
    Command(
        "container attach",
        "Attach local standard input, output, and error streams to a running container",
        "[OPTIONS] CONTAINER",
        (
            option("--detach-keys", "text", "Override the key sequence for detaching a container", "string"),
            option("--no-stdin", "flag", "Do not attach STDIN"),
            option("--sig-proxy", "flag", "Proxy all received signals to the process", default=True),
        ),
        attach,
        least=1,
        most=1,
        examples=("sandbox attach web",),
    ),
)
