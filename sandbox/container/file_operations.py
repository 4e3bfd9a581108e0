"""What can be done with containers' files, for whoever asks: export, copies, archives, changes. Operations, as
`operations` has them.
"""

from __future__ import annotations

from sandbox.container.operations import look_up
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.files.archives import ArchiveIn, ArchiveOut, Copied
    from sandbox.container.files.changes import Change
    from sandbox.container.files.copying import CopyIn, CopyOut
    from sandbox.container.files.inside import Told
    from sandbox.container.files.path_stat import PathStat
    from sandbox.operation_context import OperationContext


def export(context: OperationContext, word: str, output_fd: int) -> tuple[str, ...]:
    """Write the container's files to a descriptor, as a tar archive; returns what could not be put into one, a sentence
    each. Raises NotFoundError, SandboxError.
    """
    from sandbox.container.files.unwritten import hand_over
    from sandbox.container.model.events import Tell, tell
    from sandbox.container.view.export import export_container

    container = look_up(context, word)
    hand_over(context.paths, container)
    notes = tuple(export_container(context.paths, container, output_fd))
    with open_state(context.paths, durable=False) as connection:
        tell(connection, container.id, Tell("export"))
    return notes


def stat_path(context: OperationContext, word: str, path: str) -> PathStat:
    """What is at a path of the container, a link itself. Raises NotFoundError, SandboxError."""
    from sandbox.container.files import archives

    return archives.stat_path(context.paths, word, path)


def get_archive(context: OperationContext, word: str, request: ArchiveOut, output_fd: int) -> Copied:
    """Write what is at a path of the container to a descriptor, as a tar archive. Raises NotFoundError,
    SandboxError.
    """
    from sandbox.container.files import archives

    return archives.get_archive(context.paths, word, request, output_fd)


def put_archive(context: OperationContext, word: str, request: ArchiveIn, input_fd: int) -> Copied:
    """Extract an archive that a descriptor gives, compressed or not, in a directory of the container.

    Raises NotFoundError, UsageError for what is read-only or no directory, ConflictError where a directory and a file
    would take each other's place, SandboxError.
    """
    from sandbox.container.files import archives

    return archives.put_archive(context.paths, word, request, input_fd)


def copy_out(context: OperationContext, request: CopyOut, told: Told | None = None) -> Copied:
    """Copy from a container to files of this process's user; `told` hears meanwhile, in a forked child, how many bytes
    have been copied. Raises NotFoundError, SandboxError.
    """
    from sandbox.container.files import copying

    return copying.copy_out(context.paths, request, told)


def copy_in(context: OperationContext, request: CopyIn, told: Told | None = None) -> Copied:
    """Copy files that this process's user may read into a container, `told` as of `copy_out`. Raises as
    `put_archive`.
    """
    from sandbox.container.files import copying

    return copying.copy_in(context.paths, request, told)


def changes(context: OperationContext, word: str) -> tuple[Change, ...]:
    """What the container changed over its image, sorted. Raises NotFoundError, SandboxError."""
    from sandbox.container.files.changes import container_changes

    return container_changes(context.paths, look_up(context, word))
