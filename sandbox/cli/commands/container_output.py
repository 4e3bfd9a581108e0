"""What containers print, and being joined to them: logs, attach."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.container.life.lookup import open_container
from sandbox.errors import ConflictError, SandboxError, UsageError
from sandbox.state import open_state

if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.container.model.record import Container
    from sandbox.container.view.logs import LogEntry, LogSelection


def logs(invocation: Invocation) -> int:
    """Print a container's log, stdout and stderr apart; with -f what comes after too."""
    from sandbox.container.view.log_following import follow_log
    from sandbox.container.view.logs import read_log

    selection = _selection(invocation)
    container = _look_up(invocation)
    if container.config.log.driver == "none":
        raise SandboxError("configured logging driver does not support reading")
    paths = invocation.context.find_paths()
    directory = paths.container_data(container.id)
    entries = follow_log(paths, container, selection) if invocation.flag("follow") else read_log(directory, selection)
    timestamps = invocation.flag("timestamps")
    details = _details(container) if invocation.flag("details") else ""
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


def _details(container: Container) -> str:
    """What `--details` puts before each line: the labels and variables that log options name; there are none yet."""
    del container
    return " "


def _show(entry: LogEntry, *, timestamps: bool, details: str) -> None:
    from sandbox.container.session.attach import write_all

    prefix = (f"{entry.time} " if timestamps else "") + details
    write_all(2 if entry.stream == "stderr" else 1, (prefix + entry.text).encode(errors="surrogateescape"))


def attach(invocation: Invocation) -> int:
    """Join this command's streams to a running container's."""
    from sandbox.runtime.terminal import DEFAULT_DETACH_KEYS, parse_detach_keys

    keys = invocation.text("detach-keys")
    detach_keys = parse_detach_keys(DEFAULT_DETACH_KEYS if keys is None else keys)
    container = _look_up(invocation)
    stdin = container.config.open_stdin and not invocation.flag("no-stdin")
    return attach_to(invocation, container, stdin=stdin, detach_keys=detach_keys)


def attach_to(invocation: Invocation, container: Container, *, stdin: bool, detach_keys: bytes) -> int:
    """Stay with a running container until it ends (its exit code) or the person detaches (0). Raises SandboxError."""
    from sandbox.container.life.stop import code_after_end, open_channel
    from sandbox.container.session.attach import ClientStreams, Session

    paths = invocation.context.find_paths()
    if container.state.status == "restarting":
        raise ConflictError("You cannot attach to a restarting container, wait until it is running")
    if container.state.status != "running":
        raise ConflictError(
            "You cannot attach to a stopped container, start it first", mend=f"sandbox start -a {container.name}"
        )
    if container.config.terminal and stdin and not os.isatty(0):
        raise UsageError("the input device is not a TTY", mend="--no-stdin, or run it in a terminal")
    channel = open_channel(paths, container)
    if channel is None:
        return code_after_end(paths, container)
    try:
        channel.send_message("attach", stdin=stdin, stdout=True, stderr=True)
        streams = ClientStreams(
            stdin, container.config.terminal, invocation.flag("sig-proxy"), detach_keys, container.name
        )
        outcome = Session(channel, streams).run()
    finally:
        channel.close()
    if outcome.detached:
        return 0
    return code_after_end(paths, container) if outcome.exit_code is None else outcome.exit_code


def _look_up(invocation: Invocation) -> Container:
    paths = invocation.context.find_paths()
    with open_state(paths, durable=False) as connection:
        return open_container(connection, paths, invocation.arguments[0])


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
