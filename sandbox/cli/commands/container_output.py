"""What containers print, and being joined to them: logs, attach."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.container import operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.container.view.log_entries import LogBlock


def logs(invocation: Invocation) -> int:
    """Print a container's log, stdout and stderr apart, or its network's; with -f what comes after too."""
    from sandbox.container.view.log_selection import read_selection

    selection = read_selection(
        invocation.text("since") or "", invocation.text("until") or "", invocation.text("tail") or "all"
    )
    context, follow = invocation.context.for_operations(), invocation.flag("follow")
    timestamps, word = invocation.flag("timestamps"), invocation.arguments[0]
    details = ""
    if invocation.flag("details"):
        from sandbox.container.view.log_details import log_details

        details = f"{log_details(operations.look_up(context, word).config)} "
    if invocation.flag("network"):
        from sandbox.container.looking import refusals
        from sandbox.container.view.log_entries import LogBlock

        for entry in refusals(context, word, selection, follow=follow):
            _show(LogBlock(b"", [entry]), timestamps=timestamps, details=details)
        return 0
    for batch in operations.log_batches(context, word, selection, follow=follow):
        for block in batch:
            _show(block, timestamps=timestamps, details=details)
    return 0


def _show(block: LogBlock, *, timestamps: bool, details: str) -> None:
    from itertools import groupby

    from sandbox.container.session.attach import write_all

    columns = block.columns()
    shown = zip(columns.streams, columns.times, columns.texts, strict=True)
    # both streams in the order in which they were written
    for stream, together in groupby(shown, lambda entry: entry[0]):
        texts = [f"{time} {details}{text}" if timestamps else details + text for _, time, text in together]
        write_all(2 if stream == "stderr" else 1, "".join(texts).encode(errors="surrogateescape"))


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
            option("--network", "flag", "Show what rules of egress refused to the container, not what it wrote"),
            option("--since", "text", "Show logs since timestamp (2013-01-02T13:23:37Z) or relative (42m)", "string"),
            option("-n --tail", "text", "Number of lines to show from the end of the logs", "string", "all"),
            option("-t --timestamps", "flag", "Show timestamps"),
            option("--until", "text", "Show logs before a timestamp or relative (42m for 42 minutes)", "string"),
        ),
        logs,
        least=1,
        most=1,
        examples=("sandbox logs -f --tail 100 web", "sandbox logs --network -t web"),
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
