"""`sandbox info` and `version`: thin, the documents are made elsewhere."""

from __future__ import annotations

from sandbox.cli.command import Command, Invocation
from sandbox.cli.flags import option
from sandbox.system import operations
from sandbox.system.versions import describe_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FORMAT = option(
    "-f --format", "text", "Format the output: 'json' prints JSON, anything else is a Go template", "string"
)
#: of Docker's client, which chooses a daemon by it
_CONTEXT = "default"


def info(invocation: Invocation) -> int:
    """Print what this machine gives and what is in use."""
    context = invocation.context
    document = operations.info(context.for_operations())
    document["ClientInfo"] = {"Debug": context.debug, "Context": _CONTEXT, "Plugins": [], "Warnings": None}
    if not _print_formatted(invocation, document):
        from sandbox.cli.system_text import info_lines

        for line in info_lines(document):
            context.print(line)
        for warning in document["Warnings"]:
            context.note(f"WARNING: {warning}")
    return 0


def version(invocation: Invocation) -> int:
    """Print the version."""
    server = describe_version()
    client = {
        "Version": server["Version"],
        "ApiVersion": server["ApiVersion"],
        "DefaultAPIVersion": server["ApiVersion"],
    }
    names = ("GitCommit", "GoVersion", "PythonVersion", "Os", "Arch", "KernelVersion", "BuildTime")
    client |= {name: server[name] for name in names}
    document = {"Client": {**client, "Context": _CONTEXT}, "Server": server}
    if not _print_formatted(invocation, document):
        from sandbox.cli.system_text import version_lines

        for line in version_lines(document):
            invocation.context.print(line)
    return 0


def _print_formatted(invocation: Invocation, document: dict[str, Any]) -> bool:
    text = invocation.text("format")
    if not text:
        return False
    invocation.context.print(_formatted(text, document))
    return True


def _formatted(text: str, document: dict[str, Any]) -> str:
    if text == "json":
        import json

        return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    from sandbox.cli.output.system_shape import SHAPE, typed
    from sandbox.go_template import TemplateError, parse_template, template_mend

    try:
        return parse_template(text).render(typed(document), shape=SHAPE)
    except TemplateError as error:
        error.mend = template_mend(error, text, document)
        raise


COMMANDS: tuple[Command, ...] = (
    Command(
        "system info",
        "Display what this machine gives and what is in use",
        "[OPTIONS]",
        (_FORMAT,),
        info,
        most=0,
        examples=("sandbox info", "sandbox info -f '{{.Driver}}'"),
        further=("what the configuration may say: docs/configuration.md",),
    ),
    Command(
        "system version",
        "Show the version",
        "[OPTIONS]",
        (_FORMAT,),
        version,
        most=0,
        examples=("sandbox version", "sandbox version -f '{{.Server.Version}}'"),
    ),
)
