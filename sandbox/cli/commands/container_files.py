"""Containers' files: export."""

from __future__ import annotations

import os

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.container import operations
from sandbox.errors import SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def export(invocation: Invocation) -> int:
    """Write a container's file system as a tar archive to a file or to standard output."""
    output = invocation.text("output")
    if not output and os.isatty(1):
        raise SandboxError(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            mend=f"sandbox export -o {invocation.arguments[0]}.tar {invocation.arguments[0]}",
        )
    context, word = invocation.context.for_operations(), invocation.arguments[0]
    if not output:
        notes = operations.export(context, word, 1)
    else:
        # written aside and renamed: what has the name is a whole archive
        from sandbox.image.archive.whole_file import written_whole

        with written_whole(invocation.context.cwd.absolute(output)) as stream:
            notes = operations.export(context, word, stream.fileno())
    for note in notes:
        invocation.context.note(note)
    return 0


COMMANDS: tuple[Command, ...] = (
    Command(
        "container export",
        "Export a container's filesystem as a tar archive",
        "[OPTIONS] CONTAINER",
        (option("-o --output", "text", "Write to a file, instead of STDOUT", "string"),),
        export,
        least=1,
        most=1,
        examples=("sandbox export -o web.tar web",),
    ),
)
