"""`service ps` and `stack ps`: tasks as rows of texts, the newest of a slot first and those before it below."""

from __future__ import annotations

import os
import time

from sandbox.cli.flags import option
from sandbox.cli.output.live import WATCH
from sandbox.cli.service_rows import shown_image
from sandbox.humane import ellipsis, human_duration
from sandbox.named_tuple import NamedTuple
from sandbox.service.jobs import desired_state
from sandbox.stack.measures import natural_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sandbox.cli.command import Context, Invocation
    from sandbox.cli.output.table import Row
    from sandbox.service.looking import TaskRow

HEADERS = {
    "ID": "ID", "Name": "NAME", "Image": "IMAGE", "Node": "NODE", "DesiredState": "DESIRED STATE",
    "CurrentState": "CURRENT STATE", "Error": "ERROR", "Ports": "PORTS",
}  # fmt: skip
_RAW = (
    "id: {{.ID}}\nname: {{.Name}}\nimage: {{.Image}}\nnode: {{.Node}}\ndesired_state: {{.DesiredState}}\n"
    "current_state: {{.CurrentState}}\nerror: {{.Error}}\nports: {{.Ports}}\n"
)
_LONGEST_ERROR = 30


PS_OPTIONS = (
    option("-f --filter", "list", "Filter output based on conditions provided", "filter"),
    option("--format", "text", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template", "string"),
    option("--no-resolve", "flag", "Do not map IDs to Names"),
    option("--no-trunc", "flag", "Do not truncate output"),
    option("-q --quiet", "flag", "Only display task IDs"),
    WATCH,
)


class TaskOptions(NamedTuple):
    node_id: str
    truncate: bool = True
    #: names rather than ids
    resolve: bool = True
    quiet: bool = False


def task_options(invocation: Invocation) -> TaskOptions:
    """What the options of `ps` ask for."""
    from sandbox.service.looking import node_of

    node_id = node_of(invocation.context.for_operations()).id
    truncate, resolve = not invocation.flag("no-trunc"), not invocation.flag("no-resolve")
    return TaskOptions(node_id, truncate, resolve, invocation.flag("quiet"))


def print_tasks(context: Context, found: Iterable[TaskRow], format_text: str | None, options: TaskOptions) -> None:
    """Print the table of tasks, or what `--format` asks for; with `quiet` their ids."""
    from sandbox.cli.output.listings import print_listing

    is_table = not format_text or format_text.split(None, 1)[0] == "table"
    rows = list(task_rows(found, options, is_table=is_table))
    if options.quiet and (not format_text or format_text in ("table", "raw")):
        for row in rows:
            context.print(f"{'id: ' if format_text == 'raw' else ''}{row['ID']}")
        return
    print_listing(context, HEADERS, tuple(HEADERS), rows, format_text, raw=_RAW)


def task_rows(found: Iterable[TaskRow], options: TaskOptions, *, is_table: bool = True) -> Iterator[Row]:
    """A row for each task, in the order in which they are shown."""
    named = [(_name(each, options), each) for each in found]
    named.sort(key=lambda pair: (natural_key(pair[0]), -pair[1].task.created_ns))
    before = None
    now_ns = time.time_ns()
    for name, each in named:
        yield _row(each, f" \\_ {name}" if is_table and name == before else name, now_ns, options)
        before = name


def _name(found: TaskRow, options: TaskOptions) -> str:
    service, task = found.service, found.task
    slot = options.node_id if service.spec.mode.is_global else task.slot
    return f"{service.name if options.resolve else service.id}.{slot}"


def _row(found: TaskRow, name: str, now_ns: int, options: TaskOptions) -> Row:
    task = found.task
    since = human_duration((now_ns - task.state_ns) / 1e9).lower()
    error = ellipsis(task.error, _LONGEST_ERROR) if options.truncate else task.error
    return {
        "ID": task.id[:12] if options.truncate else task.id,
        "Name": name,
        "Image": shown_image(task.image) if options.truncate else task.image,
        "Node": os.uname().nodename if options.resolve else options.node_id,
        "DesiredState": desired_state(task, found.spec or found.service.spec).capitalize(),
        "CurrentState": f"{task.state.capitalize()} {since} ago",
        "Error": f'"{error}"' if error else "",
        "Ports": _ports(found),
    }


def _ports(found: TaskRow) -> str:
    """What its container publishes by itself, while it runs."""
    if found.task.state != "running" or found.spec is None:
        return ""
    ports = (port for port in found.spec.ports if port.mode == "host")
    return ",".join(f"*:{port.published}->{port.target}/{port.protocol}" for port in ports)
