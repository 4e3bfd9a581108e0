"""Containers' files: cp, diff, export."""

from __future__ import annotations

import os
from contextlib import contextmanager

from sandbox.cli.command import Command
from sandbox.cli.flags import option
from sandbox.cli.output.lost_reader import written_to
from sandbox.container import file_operations
from sandbox.errors import SandboxError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.cli.command import Invocation
    from sandbox.container.files.archives import Copied
    from sandbox.container.files.inside import Told
    from sandbox.container.files.names import Argument


def copy(invocation: Invocation) -> int:
    """Copy between a container and the caller's files, or a stream of them."""
    source, target = (_argument(invocation, position) for position in (0, 1))
    if source.container and target.container:
        raise SandboxError("copying between containers is not supported", mend=_by_way_of_here(source, target))
    if not source.container and not target.container:
        raise SandboxError("must specify at least one container source")
    try:
        return _copy_out(invocation, source, target) if source.container else _copy_in(invocation, source, target)
    except UsageError as error:
        # about what is in the container: the command line is as it should be
        raise SandboxError(error.message, cause=error.cause, mend=error.mend) from error


def _copy_out(invocation: Invocation, source: Argument, target: Argument) -> int:
    from sandbox.container.files.names import absolute

    context, follows = invocation.context.for_operations(), invocation.flag("follow-link")
    if target.path == "-":
        from sandbox.container.files.archives import ArchiveOut

        with written_to(1):
            copied = file_operations.get_archive(context, source.container, ArchiveOut(source.path, follows), 1)
        return _tell(invocation, copied)
    from sandbox.container.files.copying import CopyOut

    place = absolute(invocation.context.cwd.absolute(target.path))
    request = CopyOut(source.container, source.path, place, follows)
    with _shown(invocation, "Copying from container") as told:
        copied = file_operations.copy_out(context, request, told)
    return _tell(invocation, copied, place)


def _copy_in(invocation: Invocation, source: Argument, target: Argument) -> int:
    from sandbox.container.files.names import absolute

    if source.path == "-":
        return _tell(invocation, _take_stream(invocation, target))
    from sandbox.container.files.copying import CopyIn

    place = absolute(invocation.context.cwd.absolute(source.path))
    flags = [invocation.flag(name) for name in ("follow-link", "archive")]
    request = CopyIn(place, target.container, target.path, *flags)
    with _shown(invocation, "Copying to container") as told:
        copied = file_operations.copy_in(invocation.context.for_operations(), request, told)
    return _tell(invocation, copied, f"{target.container}:{copied.path}")


def _argument(invocation: Invocation, position: int) -> Argument:
    from sandbox.container.files.names import split_argument

    text = invocation.arguments[position]
    if not text:
        raise SandboxError(f"{('source', 'destination')[position]} can not be empty")
    return split_argument(text)


def _by_way_of_here(source: Argument, target: Argument) -> str:
    return f"sandbox cp {source.container}:{source.path} - | sandbox cp - {target.container}:DIRECTORY"


def _take_stream(invocation: Invocation, target: Argument) -> Copied:
    from sandbox.container.files.archives import ArchiveIn

    context = invocation.context.for_operations()
    request = ArchiveIn(target.path, keeps_kinds=True)
    try:
        return file_operations.put_archive(context, target.container, request, 0)
    except UsageError as error:
        if not error.message.startswith("extraction point"):
            raise
        raise SandboxError(f'destination "{target.container}:{target.path}" must be a directory') from None


@contextmanager
def _shown(invocation: Invocation, header: str) -> Iterator[Told | None]:
    """Where a terminal shows how much has been copied: who is to be told of it."""
    stderr = invocation.context.stderr
    if _is_quiet(invocation) or not stderr.isatty():
        yield None
        return
    from sandbox.cli.copy_progress import CopyProgress

    with CopyProgress(stderr, header) as progress:
        yield progress.told


def _is_quiet(invocation: Invocation) -> bool:
    return invocation.flag("quiet") if invocation.given("quiet") else not invocation.context.stdout.isatty()


def _tell(invocation: Invocation, copied: Copied, place: str = "") -> int:
    context, quiet = invocation.context, _is_quiet(invocation)
    for note in copied.notes:
        context.note(note)
    if place and not quiet:
        from sandbox.humane import human_size

        context.note(f"Successfully copied {human_size(copied.size_bytes, 3)} to {place}")
    return 1 if copied.incomplete else 0


def diff(invocation: Invocation) -> int:
    """Show what a container changed over its image."""
    context, word = invocation.context, invocation.arguments[0]
    for change in file_operations.changes(context.for_operations(), word):
        context.print_quoted(f"{change.letter} {change.path}")
    return 0


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
        with written_to(1):
            notes = file_operations.export(context, word, 1)
    else:
        path = invocation.context.cwd.absolute(output)
        if not os.path.isdir(os.path.dirname(path)):
            directory = os.path.dirname(path)
            raise SandboxError(
                f'failed to export container: invalid output path: directory "{directory}" does not exist',
                mend=f"mkdir -p {directory}",
            )
        # written aside and renamed: what has the name is a whole archive
        from sandbox.image.archive.whole_file import written_whole

        with written_whole(path) as stream:
            notes = file_operations.export(context, word, stream.fileno())
    for note in notes:
        invocation.context.note(note)
    return 0


COMMANDS: tuple[Command, ...] = (
    Command(
        "container cp",
        "Copy files/folders between a container and the local filesystem",
        "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tsandbox cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
        (
            option("-a --archive", "flag", "Archive mode (copy all uid/gid information)"),
            option("-L --follow-link", "flag", "Always follow symbol link in SRC_PATH"),
            option(
                "-q --quiet",
                "flag",
                "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is"
                " attached",
            ),
        ),
        copy,
        least=2,
        most=2,
        examples=(
            "sandbox cp ./settings.toml web:/etc/web/",
            "sandbox cp web:/var/log/. logs",
            "tar -c src | sandbox cp - web:/work",
        ),
        further=(
            "- as the source is a tar archive from stdin, for a directory; as the destination one on stdout",
            "what is copied in is root's, with -a its owners'; what is copied out is yours, without set-id bits",
            "a container that does not run has its volumes and bind mounts, and no tmpfs",
        ),
    ),
    Command(
        "container diff",
        "Inspect changes to files or directories on a container's filesystem",
        "CONTAINER",
        (),
        diff,
        least=1,
        most=1,
        examples=("sandbox diff web",),
        further=("A is added, C changed, D deleted; volumes and other mounts are not looked into",),
    ),
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
