"""What containers do and take while they run: top, stats."""

from __future__ import annotations

from sandbox.cli.command import Command, render_error, with_meant_name
from sandbox.cli.flags import option
from sandbox.cli.output.listings import print_listing
from sandbox.cli.output.live import CLEAR, Page, over_the_last
from sandbox.cli.output.own_formats import format_of
from sandbox.cli.output.table import render_table
from sandbox.container import looking, operations
from sandbox.errors import SandboxError
from sandbox.humane import binary_size, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Context, Invocation
    from sandbox.cli.output.table import Field
    from sandbox.container.looking import ContainerUsage

_HEADERS: dict[str, str] = {
    "Container": "CONTAINER",
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
    "Source": "SOURCE",
}
_COLUMNS = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
_UNKNOWN = "--"
_TOP_WIDTH = 20


def top(invocation: Invocation) -> int:
    """Print a container's processes as the host's ps shows them."""
    word, *arguments = invocation.arguments
    table = looking.top(invocation.context.for_operations(), word, " ".join(arguments))
    invocation.context.stdout.write(render_table([table.titles, *table.rows], least_width=_TOP_WIDTH))
    return 0


def stats(invocation: Invocation) -> int:
    """Print what containers take, each second anew, or once."""
    context = invocation.context
    # a form that no row can be shown in is told before anything is waited for
    _render(invocation, [])
    words = _present_words(invocation)
    if words is None:
        return 1
    request = looking.UsageRequest(words, invocation.flag("all"), stream=not invocation.flag("no-stream"))
    is_live = request.stream and context.stdout.isatty()
    if is_live:
        context.stdout.write(CLEAR)
    for rows in looking.watch_usage(context.for_operations(), request):
        text = _render(invocation, rows)
        if is_live:
            text = over_the_last(text)
        context.stdout.write(text)
        context.stdout.flush()
    return 0


def print_nothing(invocation: Invocation) -> int:
    """Print what `stats` prints of no container. Raises TemplateError."""
    invocation.context.stdout.write(_render(invocation, []))
    return 0


def _present_words(invocation: Invocation) -> tuple[str, ...] | None:
    """The words of containers that are there; None where one names nothing, which is told."""
    context = invocation.context.for_operations()
    missing = False
    for word in invocation.arguments:
        try:
            operations.look_up(context, word)
        except SandboxError as error:
            invocation.context.note(render_error(with_meant_name(invocation, error, (word,))))
            missing = True
    return None if missing else invocation.arguments


def _render(invocation: Invocation, rows: list[ContainerUsage]) -> str:
    buffer = Page(invocation.context.stdout)
    context: Context = invocation.context._replace(stdout=buffer)
    truncate = not invocation.flag("no-trunc")
    fields = [_row(row, truncate=truncate) for row in rows]
    print_listing(context, _HEADERS, _COLUMNS, fields, format_of(invocation, "statsFormat"))
    return buffer.getvalue()


def _row(row: ContainerUsage, *, truncate: bool) -> dict[str, Field]:
    container, usage = row.container, row.usage
    if container is None:
        return {**dict.fromkeys(_HEADERS, _UNKNOWN), "Container": row.word, "ID": row.word, "MemUsage": "-- / --"}
    return {
        "Container": row.word,
        "ID": container.id[:12] if truncate else container.id,
        "Name": container.name,
        "CPUPerc": f"{row.cpu_percent:.2f}%",
        "MemUsage": " / ".join(map(binary_size, (usage.used_bytes, usage.memory_limit_bytes) if usage else (0, 0))),
        "MemPerc": f"{usage.memory_percent if usage else 0.0:.2f}%",
        "NetIO": _both(usage.received_bytes, usage.sent_bytes) if usage else _both(0, 0),
        "BlockIO": _both(usage.read_bytes, usage.written_bytes) if usage else _both(0, 0),
        "PIDs": str(usage.processes if usage else 0),
        "Source": usage.source if usage else "",
    }


def _both(first: int, second: int) -> str:
    return f"{human_size(first, 3)} / {human_size(second, 3)}"


COMMANDS: tuple[Command, ...] = (
    Command(
        "container top",
        "Display the running processes of a container",
        "CONTAINER [ps OPTIONS]",
        (),
        top,
        least=1,
        interspersed=False,
        examples=("sandbox top web", "sandbox top web -o pid,user,etime,cmd", "sandbox top web aux"),
        further=("whose processes, and by which ids: docs/stats.md",),
    ),
    Command(
        "container stats",
        "Display a live stream of container(s) resource usage statistics",
        "[OPTIONS] [CONTAINER...]",
        (
            option("-a --all", "flag", "Show all containers (default shows just running)"),
            option("--format", "text", "Format output: table, table TEMPLATE, json, or a Go template", "string"),
            option("--no-stream", "flag", "Disable streaming stats and only pull the first result"),
            option("--no-trunc", "flag", "Do not truncate output"),
        ),
        stats,
        examples=(
            "sandbox stats",
            "sandbox stats --no-stream --format 'table {{.Name}}\\t{{.CPUPerc}}\\t{{.MemUsage}}'",
        ),
        further=("where the numbers come from, which the field Source says: docs/stats.md",),
    ),
)
