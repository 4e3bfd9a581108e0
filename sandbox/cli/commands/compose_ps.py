"""`compose ps`."""

from __future__ import annotations

from sandbox.cli.command import Command
from sandbox.cli.compose_call import project_if_any
from sandbox.cli.flags import option
from sandbox.cli.output.live import WATCH, show_live
from sandbox.compose.chosen import Choice, chosen
from sandbox.compose.observe import observe
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.compose.observe import ObservedContainer

_STATES = ("paused", "restarting", "removing", "running", "dead", "created", "exited")


def list_containers(invocation: Invocation) -> int:
    """Print the project's containers that run, or with -a all."""
    context = invocation.context
    if invocation.flag("watch"):
        return show_live(invocation.without("watch"), list_containers, lambda: _states_now(invocation))
    states = _states(invocation)
    services = invocation.arguments
    project, name = project_if_any(invocation, services)
    if project is not None and not services and not invocation.flag("orphans"):
        services = project.services.names
    shows_all = invocation.flag("all")
    choice = Choice(services, shows_all or bool(states), one_off=shows_all or bool(states))
    found = [each for each in chosen(observe(context.for_operations(), name), choice)
             if not states or each.status in states]  # fmt: skip
    if invocation.flag("quiet"):
        for each in found:
            context.print(each.id)
    elif invocation.flag("services"):
        context.print("\n".join(dict.fromkeys(each.service for each in found)))
    else:
        _print(invocation, found)
    return 0


def _states_now(invocation: Invocation) -> object:
    """What differs where something has changed that is shown."""
    name = project_if_any(invocation, invocation.arguments)[1]
    observed = observe(invocation.context.for_operations(), name)
    return [(each.id, each.container.state) for each in observed.containers]


def _states(invocation: Invocation) -> tuple[str, ...]:
    """What `--status` and `--filter` want. Raises UsageError."""
    text = invocation.text("filter")
    states = list(invocation.texts("status"))
    if text:
        key, equals, value = text.partition("=")
        if not equals:
            raise UsageError("arguments to --filter should be in form KEY=VAL", mend="--filter status=running")
        if key != "status":
            raise UsageError(f"unknown filter {key}", mend="--filter status=running")
        states.append(value)
    return tuple(states)


def _print(invocation: Invocation, containers: list[ObservedContainer]) -> None:
    from sandbox.cli.compose_rows import COLUMNS, HEADERS, container_document, container_row
    from sandbox.cli.output.listings import print_listing
    from sandbox.cli.output.own_formats import format_of

    context, truncate = invocation.context, not invocation.flag("no-trunc")
    form = (format_of(invocation, "psFormat") or "").strip()
    rows = [container_row(context.find_paths(), each, truncate=truncate) for each in containers]
    if form == "json":
        from sandbox.cli.output.table import go_json

        for each, row in zip(containers, rows, strict=True):
            context.print_quoted(go_json(container_document(each, row)))
        return
    print_listing(context, HEADERS, COLUMNS, rows, form or None)


COMMANDS: tuple[Command, ...] = (
    Command(
        "compose ps",
        "List containers",
        "[OPTIONS] [SERVICE...]",
        (
            option("-a --all", "flag", "Show all stopped containers (including those created by the run command)"),
            option("--filter", "text", "Filter services by a property (supported filters: status)", "string"),
            option("--format", "text", "Format output: table, table TEMPLATE, json, or a Go template", "string"),
            option("--no-trunc", "flag", "Don't truncate output"),
            option("--orphans", "flag", "Include orphaned services (not declared by project)", default=True),
            option("-q --quiet", "flag", "Only display IDs"),
            option("--services", "flag", "Display services"),
            option("--status", "list", f"Filter services by status. Values: [{' | '.join(_STATES)}]", "stringArray"),
            WATCH,
        ),
        list_containers,
        examples=(
            "sandbox compose ps",
            "sandbox compose ps -a --format 'table {{.Service}}\\t{{.Status}}' web",
            "sandbox compose ps --services --status exited",
            "sandbox compose ps --watch",
        ),
    ),
)
