"""`sandbox secret` and `sandbox config`: made, listed, looked at and removed. Both nouns have the same verbs."""

from __future__ import annotations

import sys

from sandbox.cli.command import Command, Invocation, each
from sandbox.cli.flags import option
from sandbox.errors import NotSupportedError, SandboxError, UsageError
from sandbox.secret import operations
from sandbox.secret.record import MOST_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.secret.record import Kind


def _kind(invocation: Invocation) -> Kind:
    return "secret" if invocation.command.path.startswith("secret ") else "config"


def create(invocation: Invocation) -> int:
    """Print the id."""
    from sandbox.grammar.labels import read_labels

    kind = _kind(invocation)
    name, source = (*invocation.arguments, "")[:2]
    if invocation.given("driver"):
        raise NotSupportedError(
            f"--driver: {kind}s are kept as they are given, without a driver that fetches them", mend="leave it out"
        )
    labels = tuple(read_labels((), invocation.texts("label")).items())
    template = invocation.text("template-driver") or ""
    request = operations.ObjectRequest(name, _read(invocation, kind, source), labels, template)
    invocation.context.print(operations.create(invocation.context.for_operations(), kind, request))
    return 0


def _read(invocation: Invocation, kind: Kind, source: str) -> bytes:
    """What is to be kept, and a byte more where it is too much."""
    most = MOST_BYTES[kind] + 1
    if source == "-":
        return sys.stdin.buffer.read(most)
    if not source:
        raise UsageError(
            f"sandbox {kind} create needs a file, or - for standard input",
            mend=f"printf %s CONTENT | {invocation.retyped([invocation.arguments[0], '-'])}",
        )
    try:
        with open(invocation.context.cwd.absolute(source), "rb") as file:
            return file.read(most)
    except OSError as error:
        raise SandboxError(
            f'Error reading content from "{source}"', cause=error.strerror or str(error), mend=f"ls -l {source}"
        ) from error


def list_all(invocation: Invocation) -> int:
    """Print Docker's table."""
    from sandbox.cli.output.listings import print_listing
    from sandbox.cli.secret_rows import COLUMNS, HEADERS, object_row

    context, kind = invocation.context, _kind(invocation)
    objects = operations.list_all(context.for_operations(), kind, invocation.texts("filter"))
    if invocation.flag("quiet") and not invocation.given("format"):
        for found in objects:
            context.print(found.id)
        return 0
    rows = [object_row(found) for found in objects]
    print_listing(context, HEADERS, COLUMNS[kind], rows, invocation.text("format"))
    return 0


def inspect(invocation: Invocation) -> int:
    """Print the documents of those found; 1 if any was not."""
    where, kind = invocation.context.for_operations(), _kind(invocation)
    if invocation.flag("pretty"):
        from sandbox.cli.secret_rows import pretty_text

        if invocation.given("format"):
            raise SandboxError("--format is incompatible with human friendly format", mend="leave --pretty out")

        def show(name: str) -> str:
            return pretty_text(kind, operations.inspect(where, kind, name))

        return each(invocation, show)
    from sandbox.cli.output.inspect_output import print_inspected

    return print_inspected(invocation, lambda name: operations.inspect(where, kind, name))


def remove(invocation: Invocation) -> int:
    """Print the name of each that went."""
    context, kind = invocation.context.for_operations(), _kind(invocation)

    def remove_one(name: str) -> str:
        operations.remove(context, kind, name)
        return name

    return each(invocation, remove_one)


def _create_command(kind: Kind) -> Command:
    driver = (option("-d --driver", "text", "Secret driver", "string", hidden=True),) if kind == "secret" else ()
    further = {
        "secret": "the content is kept in a file of this user alone, and no command shows it",
        "config": "the content is kept in a file of this user alone; `config inspect` shows it",
    }
    return Command(
        f"{kind} create",
        f"Create a {kind} from a file or STDIN" + (" as content" if kind == "secret" else ""),
        "[OPTIONS] SECRET [file|-]" if kind == "secret" else "[OPTIONS] CONFIG file|-",
        (
            *driver,
            option("-l --label", "list", f"{kind.capitalize()} labels", "list"),
            option("--template-driver", "text", "Template driver: golang, for tasks of services", "string"),
        ),
        create,
        least=1 if kind == "secret" else 2,
        most=2,
        examples=(f"sandbox {kind} create web.conf ./web.conf",) if kind == "config" else (
            "sandbox secret create db_password ./password.txt",
            "openssl rand -base64 20 | sandbox secret create db_password -",
        ),
        further=(further[kind],),
    )  # fmt: skip


def _commands(kind: Kind) -> tuple[Command, ...]:
    upper = kind.upper()
    return (
        _create_command(kind),
        Command(
            f"{kind} ls",
            f"List {kind}s",
            "[OPTIONS]",
            (
                option("-f --filter", "list", "Filter output based on conditions provided", "filter"),
                option(
                    "--format", "text", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template", "string"
                ),
                option("-q --quiet", "flag", "Only display IDs"),
            ),
            list_all,
            most=0,
            examples=(f"sandbox {kind} ls -f label=env=test",),
        ),
        Command(
            f"{kind} inspect",
            f"Display detailed information on one or more {kind}s",
            f"[OPTIONS] {upper} [{upper}...]",
            (
                option("-f --format", "text", "Format output: 'json' or a Go template", "string"),
                option("--pretty", "flag", "Print the information in a human friendly format"),
            ),
            inspect,
            least=1,
            examples=(f"sandbox {kind} inspect --pretty {'db_password' if kind == 'secret' else 'web.conf'}",),
        ),
        Command(
            f"{kind} rm",
            f"Remove one or more {kind}s",
            f"{upper} [{upper}...]",
            (),
            remove,
            least=1,
            examples=(f"sandbox {kind} rm {'db_password' if kind == 'secret' else 'web.conf'}",),
        ),
    )


COMMANDS: tuple[Command, ...] = (*_commands("secret"), *_commands("config"))
