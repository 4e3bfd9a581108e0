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
    # JSON and the language are for this command alone
    import json

    from sandbox.dockerfile.parser import parse_dockerfile
    from sandbox.dockerfile.printing import document
    from sandbox.dockerfile.stages import read_program

    name = invocation.arguments[0] if invocation.arguments else "Dockerfile"
    data = _read(name, invocation.context.cwd)
    dockerfile = parse_dockerfile(data, "<stdin>" if name == "-" else name)
    invocation.context.print(json.dumps([document(node) for node in dockerfile.nodes], indent=2))
    # after printing: where an instruction is wrong, a tool still sees how all of them were read
    read_program(dockerfile)
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
