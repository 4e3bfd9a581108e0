"""`sandbox service`: services listed, looked at, scaled, put back and removed."""

from __future__ import annotations

from sandbox.cli.command import Command, Invocation, each, render_error
from sandbox.cli.flags import option
from sandbox.cli.output.live import show_live
from sandbox.cli.service_options.table import DETACH, QUIET
from sandbox.cli.task_rows import PS_OPTIONS
from sandbox.errors import NotFoundError, SandboxError, UsageError
from sandbox.service import looking, operations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.service.record import Service


def list_all(invocation: Invocation) -> int:
    """Print Docker's table of services."""
    from sandbox.cli.service_rows import print_services

    context = invocation.context
    counts = looking.list_all(context.for_operations(), invocation.texts("filter"))
    print_services(context, counts, invocation.text("format"), quiet=invocation.flag("quiet"))
    return 0


def tasks(invocation: Invocation) -> int:
    """Print Docker's table of the tasks of services; 1 if any service was not found."""
    from sandbox.cli.task_rows import print_tasks, task_options

    context, where = invocation.context, invocation.context.for_operations()
    if invocation.flag("watch"):
        return show_live(invocation.without("watch"), tasks, lambda: looking.tasks(where, invocation.arguments))
    found, errors = [], []
    for word in invocation.arguments:
        try:
            found.append(looking.inspect(where, word))
        except NotFoundError as error:
            errors.append(_no_such(error, word))
    if not found:
        raise errors[0]
    options = task_options(invocation)
    # as Docker's client has it here, and not of stacks
    options = options._replace(truncate=options.truncate and not options.quiet)
    ids = tuple(dict.fromkeys(service.id for service in found))
    print_tasks(context, looking.tasks(where, ids, invocation.texts("filter")), invocation.text("format"), options)
    for failure in errors:
        context.note(render_error(failure))
    return 1 if errors else 0


def _no_such(error: NotFoundError, word: str) -> NotFoundError:
    """`error` in the words in which Docker's client, not its engine, says it."""
    error.message = f"no such service: {word}"
    return error


def inspect(invocation: Invocation) -> int:
    """Print the documents of those found, or what people read; 1 if any was not."""
    from sandbox.cli.output.inspect_output import print_inspected
    from sandbox.service.documents import service_document
    from sandbox.service.known_names import known_names

    where = invocation.context.for_operations()
    if invocation.flag("pretty"):
        return _inspect_pretty(invocation)

    def document(word: str) -> dict[str, Any]:
        return service_document(_found(invocation, word), known_names(where), defaults=True)

    return print_inspected(invocation, document)


def _found(invocation: Invocation, word: str) -> Service:
    try:
        return looking.inspect(invocation.context.for_operations(), word)
    except NotFoundError as error:
        raise _no_such(error, word) from error


def _inspect_pretty(invocation: Invocation) -> int:
    from sandbox.cli.service_pretty import pretty_lines
    from sandbox.service.documents import service_document
    from sandbox.service.known_names import known_names

    if invocation.text("format"):
        raise UsageError("--format is incompatible with human friendly format", mend="leave out --pretty")
    names = known_names(invocation.context.for_operations())
    for word in invocation.arguments:
        service = _found(invocation, word)
        for line in pretty_lines(service, service_document(service, names, defaults=True)):
            invocation.context.print_quoted(line)
    return 0


def remove(invocation: Invocation) -> int:
    """Print each that went, as it was named."""
    where = invocation.context.for_operations()

    def remove_one(word: str) -> str:
        operations.remove(where, word)
        return word

    return each(invocation, remove_one)


def rollback(invocation: Invocation) -> int:
    """Print the service as it was named, and wait for it."""
    from sandbox.cli.service_waiting import wait_on_service

    word = invocation.arguments[0]
    service = operations.rollback(invocation.context.for_operations(), word)
    invocation.context.print(word)
    if not invocation.flag("detach"):
        wait_on_service(invocation.context, service.id, word, quiet=invocation.flag("quiet"))
    return 0


def scale(invocation: Invocation) -> int:
    """Say how many each has now, and wait for them; 1 if any could not be scaled."""
    from sandbox.cli.service_waiting import wait_on_service

    context, errors = invocation.context, []
    wanted = [_specifier(invocation, text) for text in invocation.arguments]
    scaled: list[tuple[str, str]] = []
    for word, text in wanted:
        try:
            count = _count(text)
            scaled.append((operations.scale(context.for_operations(), word, count).id, word))
        except SandboxError as error:
            error.message = f"{word}: {error.message}"
            errors.append(error)
        else:
            context.print(f"{word} scaled to {count}")
    for service_id, word in () if invocation.flag("detach") else scaled:
        try:
            wait_on_service(context, service_id, word)
        except SandboxError as error:
            error.message = f"{word}: {error.message}"
            errors.append(error)
    for failure in errors:
        context.note(render_error(failure))
    return 1 if errors else 0


def _specifier(invocation: Invocation, text: str) -> tuple[str, str]:
    word, _, count = text.partition("=")
    if not word or not count:
        raise UsageError(f"invalid scale specifier '{text}'.", mend=invocation.retyped([f"{word or 'SERVICE'}=2"]))
    return word, count


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UsageError(f'invalid replicas value {text}: strconv.ParseUint: parsing "{text}": invalid syntax')
    return int(text)


_FILTER = option("-f --filter", "list", "Filter output based on conditions provided", "filter")
_FORMAT = option("--format", "text", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template", "string")

COMMANDS: tuple[Command, ...] = (
    Command(
        "service ls",
        "List services",
        "[OPTIONS]",
        (_FILTER, _FORMAT, option("-q --quiet", "flag", "Only display IDs")),
        list_all,
        most=0,
        examples=("sandbox service ls -f mode=replicated", "sandbox service ls --format '{{.Name}} {{.Replicas}}'"),
    ),
    Command(
        "service ps",
        "List the tasks of one or more services",
        "[OPTIONS] SERVICE [SERVICE...]",
        PS_OPTIONS,
        tasks,
        least=1,
        examples=("sandbox service ps -f desired-state=running web", "sandbox service ps --no-trunc --watch web"),
    ),
    Command(
        "service inspect",
        "Display detailed information on one or more services",
        "[OPTIONS] SERVICE [SERVICE...]",
        (
            option("-f --format", "text", "Format output: 'json' or a Go template", "string"),
            option("--pretty", "flag", "Print the information in a human friendly format"),
        ),
        inspect,
        least=1,
        examples=(
            "sandbox service inspect --pretty web",
            "sandbox service inspect -f '{{.Spec.TaskTemplate.ContainerSpec.Image}}' web",
        ),
    ),
    Command(
        "service rm",
        "Remove one or more services",
        "SERVICE [SERVICE...]",
        (),
        remove,
        least=1,
        examples=("sandbox service rm web",),
    ),
    Command(
        "service rollback",
        "Revert changes to a service's configuration",
        "[OPTIONS] SERVICE",
        (DETACH, QUIET),
        rollback,
        least=1,
        most=1,
        examples=("sandbox service rollback web",),
        further=("a service remembers what it was before its last change: a second rollback takes back the first",),
    ),
    Command(
        "service scale",
        "Scale one or multiple replicated services",
        "SERVICE=REPLICAS [SERVICE=REPLICAS...]",
        (DETACH,),
        scale,
        least=1,
        examples=("sandbox service scale web=3 worker=5",),
    ),
)
