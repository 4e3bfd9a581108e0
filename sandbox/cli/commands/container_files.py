"""Containers' files: export."""

from __future__ import annotations

import os

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.container.life.lookup import open_container
from sandbox.errors import SandboxError
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation


def export(invocation: Invocation) -> int:
    """Write a container's file system as a tar archive to a file or to standard output."""
    from sandbox.container.view.export import export_container

    output = invocation.text("output")
    if not output and os.isatty(1):
        raise SandboxError(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            mend=f"sandbox export -o {invocation.arguments[0]}.tar {invocation.arguments[0]}",
        )
    paths = invocation.context.find_paths()
    with open_state(paths, durable=False) as connection:
        container = open_container(connection, paths, invocation.arguments[0])
    if not output:
        notes = export_container(paths, container, 1)
    else:
        # written aside and renamed: what has the name is a whole archive
        from sandbox.image.archive.whole_file import written_whole

        with written_whole(invocation.context.cwd.absolute(output)) as stream:
            notes = export_container(paths, container, stream.fileno())
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
