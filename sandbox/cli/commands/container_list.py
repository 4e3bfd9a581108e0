"""What there is: ps, inspect, port."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.cli.command import Command, render_error, with_meant_name
from sandbox.cli.flags import option
from sandbox.container.life.lookup import open_container, present_containers
from sandbox.errors import SandboxError, UsageError
from sandbox.state import open_state

if TYPE_CHECKING:
    import sqlite3

    from sandbox.cli.command import Invocation
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


def list_containers(invocation: Invocation) -> int:
    """Print the containers that run, or with -a all."""
    context = invocation.context
    paths = context.find_paths()
    with open_state(paths, durable=False) as connection:
        chosen = _chosen(invocation, connection, paths)
    truncate = not invocation.flag("no-trunc")
    if invocation.flag("quiet"):
        for container in chosen:
            context.print(container.id[:12] if truncate else container.id)
        return 0
    from sandbox.cli.container_rows import COLUMNS, HEADERS, SIZE_COLUMNS, RowOptions, container_row, table_row
    from sandbox.cli.output.listings import print_listing

    format_text = invocation.text("format")
    with_size = invocation.flag("size") or (format_text is not None and ".Size" in format_text)
    options = RowOptions(truncate, with_size)
    if format_text is None and not with_size:
        rows = [table_row(container, options) for container in chosen]
    else:
        rows = [container_row(paths, container, options) for container in chosen]
    columns = SIZE_COLUMNS if invocation.flag("size") else COLUMNS
    print_listing(context, HEADERS, columns, rows, format_text)
    return 0


def _chosen(invocation: Invocation, connection: sqlite3.Connection, paths: Paths) -> list[Container]:
    last = 1 if invocation.flag("latest") else invocation.number("last")
    limit = last if last is not None and last > 0 else None
    containers = present_containers(connection, paths)
    shows_all = invocation.flag("all") or limit is not None
    if invocation.given("filter"):
        from sandbox.container.view.list_filters import filter_containers, read_filters

        filters = read_filters(invocation.texts("filter"))
        # who asks for a status means it, running or not
        shows_all = shows_all or filters.given("status")
        containers = filter_containers(connection, containers, filters)
    if not shows_all:
        containers = [c for c in containers if c.state.status in ("running", "paused", "restarting")]
    return containers[:limit]


def inspect(invocation: Invocation) -> int:
    """Print what is known of containers as JSON, or through a template."""
    from sandbox.cli.output.inspect_output import print_documents
    from sandbox.container.request.kept import load_request
    from sandbox.container.view.inspect import inspect_container

    paths = invocation.context.find_paths()
    found = []
    status = 0
    with open_state(paths, durable=False) as connection:
        for word in invocation.arguments:
            try:
                container = open_container(connection, paths, word)
                found.append((container, load_request(connection, container.id)))
            except SandboxError as error:
                invocation.context.note(render_error(with_meant_name(invocation, error, (word,))))
                status = 1
    with_size = invocation.flag("size")
    documents = [inspect_container(paths, container, request, with_size=with_size) for container, request in found]
    return print_documents(invocation.context, documents, invocation.text("format")) or status


def port(invocation: Invocation) -> int:
    """Print where the container's ports are published."""
    from net.errors import NetError
    from net.port_texts import join_address, split_protocol
    from net.ports import parse_port_number

    paths = invocation.context.find_paths()
    word, *rest = invocation.arguments
    with open_state(paths, durable=False) as connection:
        container = open_container(connection, paths, word)
    published = container.state.published_ports
    if not rest:
        for entry in published:
            place = join_address(entry.host_ip or "0.0.0.0", str(entry.host_port))
            invocation.context.print(f"{entry.container_port}/{entry.protocol} -> {place}")
        return 0
    number_text, protocol = split_protocol(rest[0])
    try:
        number = parse_port_number(number_text)
    except NetError as error:
        raise UsageError(
            f"invalid port {rest[0]!r}: {error.message}",
            mend=f"sandbox port {word} 80/tcp; without a port it lists all",
        ) from error
    found = [entry for entry in published if (entry.container_port, entry.protocol) == (number, protocol)]
    if not found:
        raise SandboxError(f"no public port '{number}/{protocol}' published for {word}")
    for entry in found:
        invocation.context.print(join_address(entry.host_ip or "0.0.0.0", str(entry.host_port)))
    return 0


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
    Command(
        "container port",
        "List port mappings or a specific mapping for the container",
        "CONTAINER [PRIVATE_PORT[/PROTO]]",
        (),
        port,
        least=1,
        most=2,
        examples=("sandbox port web", "sandbox port web 80/tcp"),
    ),
)
