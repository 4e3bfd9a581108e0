"""`sandbox volume export` and `sandbox volume import`: a volume's files as a tar archive."""

from __future__ import annotations

import os

from sandbox.cli.command import Command, Invocation
from sandbox.cli.flags import option
from sandbox.cli.output.lost_reader import written_to
from sandbox.errors import SandboxError, UsageError
from sandbox.volume import operations


def export(invocation: Invocation) -> int:
    """Write the archive to a file, or to standard output."""
    (name,) = invocation.arguments
    output, context = invocation.text("output"), invocation.context.for_operations()
    if not output and os.isatty(1):
        raise SandboxError(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
            mend=f"sandbox volume export -o {name}.tar {name}",
        )
    if not output:
        with written_to(1):
            notes = operations.export(context, name, 1)
    else:
        # written aside and renamed: what has the name is a whole archive
        from sandbox.image.archive.whole_file import written_whole

        with written_whole(invocation.context.cwd.absolute(output)) as stream:
            notes = operations.export(context, name, stream.fileno())
    for note in notes:
        invocation.context.note(note)
    return 0


def import_archive(invocation: Invocation) -> int:
    """Read the archive from a file, or from standard input."""
    name, source = (*invocation.arguments, "-")[:2]
    context = invocation.context.for_operations()
    if source == "-":
        if os.isatty(0):
            raise UsageError(
                "requested import from stdin, but stdin is a terminal", mend=f"sandbox volume import {name} FILE"
            )
        notes = operations.import_archive(context, name, 0)
    else:
        path = invocation.context.cwd.absolute(source)
        try:
            with open(path, "rb") as stream:
                notes = operations.import_archive(context, name, stream.fileno())
        except OSError as error:
            raise SandboxError(
                f"cannot read {source}", cause=error.strerror or str(error), mend=f"ls -l {source}"
            ) from error
    for note in notes:
        invocation.context.note(note)
    return 0


COMMANDS: tuple[Command, ...] = (
    Command(
        "volume export",
        "Export a volume's files as a tar archive",
        "[OPTIONS] VOLUME",
        (option("-o --output", "text", "Write to a file, instead of STDOUT", "string"),),
        export,
        least=1,
        most=1,
        examples=("sandbox volume export -o data.tar data", "sandbox volume export data"),
        further=("as podman has it, and Docker has not; owners, attributes, hard links and holes are kept",),
    ),
    Command(
        "volume import",
        "Lay the files of a tar archive over those of a volume",
        "VOLUME [FILE|-]",
        (),
        import_archive,
        least=1,
        most=2,
        examples=("sandbox volume import data data.tar", "sandbox volume import data -"),
        further=(
            "the volume must be there; it gets all of the archive or, where that fails or is killed, nothing of it",
            "refused while a container runs with the volume, which would go on with the files that it has",
        ),
    ),
)
