"""`compose events`."""

from __future__ import annotations

import time

from sandbox.cli.command import Command
from sandbox.cli.compose_call import project_if_any
from sandbox.cli.flags import option
from sandbox.compose.names import ONE_OFF, PREFIX, PROJECT, SERVICE
from sandbox.event_stream import Selection, check_times, read_event_filters, stream_events
from sandbox.grammar.filters import parse_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.events import Happened

_NS = 10**9


def events(invocation: Invocation) -> int:
    """Print what happens to the project's containers, until `--until` has come or somebody ends it."""
    context = invocation.context
    _, name = project_if_any(invocation, invocation.arguments)
    now_ns = time.time_ns()
    times = []
    for key in ("since", "until"):
        text = invocation.text(key)
        times.append((text, parse_time(text, now_ns)) if text else None)
    since, until = times
    check_times(since, until)
    filters = read_event_filters(("type=container", f"label={PROJECT}={name}"))
    selection = Selection(None if since is None else since[1], None if until is None else until[1], filters)
    show = _document if invocation.flag("json") else _line
    try:
        output = context.stdout.fileno()
    except OSError:
        output = -1
    for several in stream_events(context.find_paths(), selection, output):
        for happened in several:
            if _is_meant(happened, invocation.arguments):
                context.print_quoted(show(happened))
        context.stdout.flush()
    return 0


def _is_meant(happened: Happened, services: tuple[str, ...]) -> bool:
    attributes = happened.event.attributes
    return attributes.get(ONE_OFF) != "True" and (not services or attributes.get(SERVICE, "") in services)


def _attributes(happened: Happened) -> dict[str, str]:
    """Those that are not Compose's own."""
    return {
        key: value for key, value in sorted(happened.event.attributes.items()) if not key.startswith(PREFIX)
    }  # fmt: skip


def _document(happened: Happened) -> str:
    from sandbox.cli.output.table import go_json

    event = happened.event
    seconds, nanoseconds = divmod(happened.time_ns, _NS)
    moment = time.localtime(seconds)
    zone = time.strftime("%z", moment)
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    offset = f"{zone[:3]}:{zone[3:]}" if moment.tm_gmtoff else "Z"
    return go_json(
        {
            "action": event.action,
            "attributes": _attributes(happened),
            "id": event.actor,
            "service": event.attributes.get(SERVICE, ""),
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', moment)}{fraction}{offset}",
            "type": "container",
        }
    )


def _line(happened: Happened) -> str:
    seconds, nanoseconds = divmod(happened.time_ns, _NS)
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    attributes = ", ".join(f"{key}={value}" for key, value in _attributes(happened).items())
    event = happened.event
    return f"{moment}.{nanoseconds // 1000:06d} container {event.action} {event.actor} ({attributes})"


COMMANDS: tuple[Command, ...] = (
    Command(
        "compose events",
        "Receive real time events from containers",
        "[OPTIONS] [SERVICE...]",
        (
            option("--json", "flag", "Output events as a stream of json objects"),
            option("--since", "text", "Show all events created since timestamp", "string"),
            option("--until", "text", "Stream events until this timestamp", "string"),
        ),
        events,
        examples=("sandbox compose events", "sandbox compose events --json --since 10m --until 0s web"),
        further=("what is told, by which names: docs/events.md",),
    ),
)
