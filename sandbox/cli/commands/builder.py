"""`sandbox builder`: what concerns builds and no single one."""

from __future__ import annotations

import sys

from sandbox.cli.command import Command, Invocation
from sandbox.errors import SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.caller_directory import CallerDirectory


def parse(invocation: Invocation) -> int:
    """Print what the parser understood as JSON; a bad file is an error with the position."""
    # JSON is for this command alone
    import json

    from sandbox.builder.operations import parse as parse_text

    name = invocation.arguments[0] if invocation.arguments else "Dockerfile"
    data = _read(name, invocation.context.cwd)
    parsed = parse_text(data, "<stdin>" if name == "-" else name)
    invocation.context.print(json.dumps(parsed.nodes, indent=2))
    if parsed.fault is not None:
        raise parsed.fault
    return 0


def _read(name: str, directory: CallerDirectory) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        with open(directory.absolute(name), "rb") as file:
            return file.read()
    except OSError as error:
        raise SandboxError(f"cannot read {name}: {error.strerror}") from error


COMMANDS: tuple[Command, ...] = (
    Command(
        "builder parse",
        "Show how a Dockerfile is understood, as JSON",
        "[FILE|-]",
        (),
        parse,
        most=1,
        examples=("sandbox builder parse", "sandbox builder parse - < Dockerfile"),
    ),
)
