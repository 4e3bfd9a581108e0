"""What there is: ps, inspect."""

from __future__ import annotations

from sandbox.cli.command import Command, render_error, with_meant_name
from sandbox.cli.flags import option
from sandbox.container import operations
from sandbox.errors import SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def list_containers(invocation: Invocation) -> int:
    """Print the containers that run, or with -a all."""
    context = invocation.context
    last = 1 if invocation.flag("latest") else invocation.number("last")
    limit = last if last is not None and last > 0 else None
    request = operations.ListRequest(invocation.texts("filter"), invocation.flag("all"), limit)
    chosen = operations.list_containers(context.for_operations(), request)
    truncate = not invocation.flag("no-trunc")
    if invocation.flag("quiet"):
        for container in chosen:
            context.print(container.id[:12] if truncate else container.id)
        return 0
    from sandbox.cli.container_rows import (
        COLUMNS,
        HEADERS,
        RAW,
        RAW_WITH_SIZE,
        SIZE_COLUMNS,
        RowOptions,
        container_row,
        table_row,
    )
    from sandbox.cli.output.listings import print_listing
    from sandbox.cli.output.own_formats import format_of

    format_text = format_of(invocation, "psFormat")
    with_size = invocation.flag("size") or (format_text is not None and ".Size" in format_text)
    options = RowOptions(truncate, with_size)
    if format_text is None and not with_size:
        rows = [table_row(container, options) for container in chosen]
    else:
        rows = [container_row(context.find_paths(), container, options) for container in chosen]
    columns = SIZE_COLUMNS if invocation.flag("size") else COLUMNS
    raw = RAW_WITH_SIZE if invocation.flag("size") else RAW
    print_listing(context, HEADERS, columns, rows, format_text, raw=raw)
    return 0


def inspect(invocation: Invocation) -> int:
    """Print what is known of containers as JSON, or through a template."""
    from sandbox.cli.output.inspect_output import print_documents

    words = invocation.arguments
    documents = []
    status = 0
    found = operations.inspect_each(invocation.context.for_operations(), words, with_size=invocation.flag("size"))
    for word, each in zip(words, found, strict=True):
        if isinstance(each, SandboxError):
            invocation.context.note(render_error(with_meant_name(invocation, each, (word,))))
            status = 1
        else:
            documents.append(each)
    return print_documents(invocation.context, documents, invocation.text("format")) or status


COMMANDS: tuple[Command, ...] = (
    Command(
        "container ls",
        "List containers",
        "[OPTIONS]",
        (
            option("-a --all", "flag", "Show all containers (default shows just running)"),
            option("-f --filter", "list", "Filter output based on conditions provided", "filter"),
            option("--format", "text", "Format output: table, table TEMPLATE, json, or a Go template", "string"),
            option("-n --last", "number", "Show n last created containers (includes all states)", "int", -1),
            option("-l --latest", "flag", "Show the latest created container (includes all states)"),
            option("--no-trunc", "flag", "Don't truncate output"),
            option("-q --quiet", "flag", "Only display container IDs"),
            option("-s --size", "flag", "Display total file sizes"),
        ),
        list_containers,
        most=0,
        examples=("sandbox ps -a", 'sandbox ps -f status=exited --format "table {{.Names}}\\t{{.Status}}"'),
    ),
    Command(
        "container inspect",
        "Display detailed information on one or more containers",
        "[OPTIONS] CONTAINER [CONTAINER...]",
        (
            option("-f --format", "text", "Format output: json, or a Go template", "string"),
            option("-s --size", "flag", "Display total file sizes"),
        ),
        inspect,
        least=1,
        examples=("sandbox container inspect -f '{{.State.Status}}' web",),
    ),
)
