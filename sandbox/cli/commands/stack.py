"""`sandbox stack`: stacks listed, looked at and removed."""

from __future__ import annotations

from sandbox.cli.command import Command, Invocation
from sandbox.cli.flags import option
from sandbox.cli.output.live import show_live
from sandbox.cli.task_rows import PS_OPTIONS
from sandbox.deploy.local_engine import LocalEngine
from sandbox.errors import NotFoundError, SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Context

_HEADERS = {"Name": "NAME", "Services": "SERVICES"}
_RAW = "name: {{.Name}}\nservices: {{.Services}}\n"


def list_all(invocation: Invocation) -> int:
    """Print Docker's table of stacks."""
    from sandbox.cli.output.listings import print_listing
    from sandbox.stack.measures import natural_key

    stacks = sorted(_engine(invocation.context).stacks(), key=lambda stack: natural_key(stack.name))
    rows = [{"Name": stack.name, "Services": str(stack.services)} for stack in stacks]
    print_listing(invocation.context, _HEADERS, tuple(_HEADERS), rows, invocation.text("format"), raw=_RAW)
    return 0


def _engine(context: Context) -> LocalEngine:
    return LocalEngine(context.for_operations())


def services(invocation: Invocation) -> int:
    """Print the table of a stack's services; that there are none is no error."""
    from sandbox.cli.service_rows import print_services

    context, name = invocation.context, _name(invocation)
    found = _engine(context).services(name, invocation.texts("filter"))
    if not found:
        context.note(f"Nothing found in stack: {name}")
        return 0
    print_services(context, found, invocation.text("format"), quiet=invocation.flag("quiet"))
    return 0


def _name(invocation: Invocation) -> str:
    from sandbox.deploy.stack_spec import check_name

    check_name(invocation.arguments[0])
    return invocation.arguments[0]


def tasks(invocation: Invocation) -> int:
    """Print the table of a stack's tasks."""
    from sandbox.cli.task_rows import print_tasks, task_options

    context, name = invocation.context, _name(invocation)
    if invocation.flag("watch"):
        return show_live(invocation.without("watch"), tasks, lambda: _engine(context).tasks(name))
    found = _engine(context).tasks(name, invocation.texts("filter"))
    if not found:
        raise NotFoundError(f"nothing found in stack: {name}", mend="sandbox stack ls")
    print_tasks(context, found, invocation.text("format"), task_options(invocation))
    return 0


def remove(invocation: Invocation) -> int:
    """Say what is removed; 1 where something of a stack could not be."""
    from sandbox.cli.command import render_error
    from sandbox.deploy.stack_spec import check_name

    context, status = invocation.context, 0
    for name in invocation.arguments:
        check_name(name)
    for name in invocation.arguments:
        removed = _engine(context).remove(name, context.print)
        if not removed.found:
            context.note(f"Nothing found in stack: {name}")
        for failure in removed.failures:
            context.note(failure)
        if removed.failures:
            context.note(render_error(SandboxError(f"failed to remove some resources from stack: {name}")))
            status = 1
    return status


_FILTER = option("-f --filter", "list", "Filter output based on conditions provided", "filter")
_FORMAT = option("--format", "text", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template", "string")

COMMANDS: tuple[Command, ...] = (
    Command(
        "stack ls",
        "List stacks",
        "[OPTIONS]",
        (_FORMAT,),
        list_all,
        most=0,
        examples=("sandbox stack ls",),
    ),
    Command(
        "stack services",
        "List the services in the stack",
        "[OPTIONS] STACK",
        (_FILTER, _FORMAT, option("-q --quiet", "flag", "Only display IDs")),
        services,
        least=1,
        most=1,
        examples=("sandbox stack services shop",),
    ),
    Command(
        "stack ps",
        "List the tasks in the stack",
        "[OPTIONS] STACK",
        PS_OPTIONS,
        tasks,
        least=1,
        most=1,
        examples=("sandbox stack ps -f desired-state=running shop", "sandbox stack ps --watch shop"),
    ),
    Command(
        "stack rm",
        "Remove one or more stacks",
        "[OPTIONS] STACK [STACK...]",
        (option("-d --detach", "flag", "Do not wait for stack removal", default=True),),
        remove,
        least=1,
        examples=("sandbox stack rm shop",),
        further=("volumes stay; it returns when the last replica has gone, for the networks go behind that",),
    ),
)
