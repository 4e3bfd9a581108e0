"""`sandbox events`: what happens to containers, images and volumes, as it happens."""

from __future__ import annotations

import time

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.event_stream import Selection, check_times, read_event_filters, stream_events
from sandbox.grammar.filters import parse_time
from sandbox.humane import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cli.command import Context, Invocation
    from sandbox.events import Happened

_NS = 10**9


def events(invocation: Invocation) -> int:
    """Print each event on a line of its own, until `--until` has come or somebody ends it."""
    context = invocation.context
    show = _printer(invocation.text("format") or "")
    filters = read_event_filters(invocation.texts("filter"))
    now_ns = time.time_ns()
    since, until = (_moment(invocation, key, now_ns) for key in ("since", "until"))
    check_times(since, until)
    selection = Selection(None if since is None else since[1], None if until is None else until[1], filters)
    for happened in stream_events(context.find_paths(), selection, _descriptor(context)):
        for one in happened:
            context.print_quoted(show(one))
        context.stdout.flush()
    return 0


def _moment(invocation: Invocation, key: str, now_ns: int) -> tuple[str, int] | None:
    text = invocation.text(key)
    return (text, parse_time(text, now_ns)) if text else None


def _descriptor(context: Context) -> int:
    """That of the output; -1 where it has none."""
    try:
        return context.stdout.fileno()
    except OSError:
        return -1


def _printer(form: str) -> Callable[[Happened], str]:
    """What makes a line of an event. Raises TemplateError for a form that no event can be shown in."""
    if not form:
        return _line
    from sandbox.event_documents import event_document, event_fields
    from sandbox.events import Event, Happened
    from sandbox.go_template import Shape, TemplateError, parse_template, template_mend
    from sandbox.go_template.functions import FUNCTIONS

    shape = Shape(maps=frozenset({"Actor.Attributes"}))
    nothing = event_fields(Happened(0, 0, Event("", "", "")))
    source = "{{json .}}" if form == "json" else form
    try:
        template = parse_template(source)

        def render(happened: Happened) -> str:
            fields = event_fields(happened)
            as_json = FUNCTIONS["json"]
            functions = {
                **FUNCTIONS,
                "json": lambda value: as_json(event_document(value) if value is fields else value),
            }
            return template.render(fields, shape=shape, functions=functions)

        # a field that there is not is found before anything happens
        template.render(nothing, shape=shape)
    except TemplateError as error:
        # Docker looks at the form before anything else, and does not say which of the two is wrong with it
        error.kind = "bad_template"
        error.mend = template_mend(error, form, nothing)
        raise
    return render


def _line(happened: Happened) -> str:
    """Docker's form; what an image's labels say stays on the line."""
    _id, time_ns, (kind, action, actor, attributes) = happened
    line = f"{_local_time(time_ns)} {kind} {action} {actor}"
    if attributes:
        line += f" ({', '.join(f'{name}={attributes[name]}' for name in sorted(attributes))})"
    return printable(line)


def _local_time(time_ns: int) -> str:
    seconds, fraction = divmod(time_ns, _NS)
    moment = time.localtime(seconds)
    zone = time.strftime("%z", moment)
    offset = "Z" if moment.tm_gmtoff == 0 else f"{zone[:3]}:{zone[3:]}"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}.{fraction:09}{offset}"


COMMANDS: tuple[Command, ...] = (
    Command(
        "system events",
        "Show what happens to containers, images, networks and volumes, as it happens",
        "[OPTIONS]",
        (
            option("-f --filter", "list", 'Filter output based on conditions provided (e.g. "event=die")', "filter"),
            option("--format", "text", "Format output: 'json' or a Go template", "string"),
            option(
                "--since", "text", "Show events since a timestamp (2013-01-02T13:23:37Z) or relative (42m)", "string"
            ),
            option("--until", "text", "Stream events until a timestamp or relative (-42m: in 42 minutes)", "string"),
        ),
        events,
        most=0,
        examples=(
            "sandbox events --since 1h --until 0s",
            "sandbox events -f type=container -f event=die --format '{{.Actor.Attributes.name}}'",
        ),
        further=("what is told, by which names: docs/events.md",),
    ),
)
