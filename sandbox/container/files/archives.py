"""Archives out of containers and into them, and what is at a path: the operations, for whoever has the descriptors."""

from __future__ import annotations

from sandbox.container.files import inside
from sandbox.container.files.inside import Source, Taking
from sandbox.container.files.path_stat import PathStat
from sandbox.container.files.tree import call_in_tree
from sandbox.container.model.events import Tell, tell
from sandbox.errors import UsageError
from sandbox.named_tuple import NamedTuple
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.files.inside import Told
    from sandbox.paths import Paths

__all__ = ["ArchiveIn", "ArchiveOut", "Copied", "Source", "get_archive", "put_archive", "stat_path"]


class Copied(NamedTuple):
    """What a copy came to: bytes of the archive, and sentences on what was left out or could not be kept."""

    size_bytes: int
    notes: tuple[str, ...] = ()
    #: whether something could not be read, which a person would miss
    incomplete: bool = False
    #: where it went, as far as links of the destination itself lead
    path: str = ""


class ArchiveOut(NamedTuple):
    """What is copied out of a container."""

    path: str
    #: a link at the path is followed, and its target has the link's name in the archive
    follow_link: bool = False
    #: leave the holes of files out, for a reader that knows them
    sparse: bool = False


class ArchiveIn(NamedTuple):
    """How an archive is taken into a container, at the directory `path`."""

    path: str
    #: Docker's noOverwriteDirNonDir: a directory and what is none do not replace each other
    keeps_kinds: bool = False
    #: Docker's copyUIDGID: everything is the container's user's
    as_user: bool = False
    #: everything is theirs; None leaves what the archive says
    owner: tuple[int, int] | None = None
    #: what is copied, where `path` is the DEST of a copy: the archive's first component is named by it
    source: Source | None = None


def stat_path(paths: Paths, word: str, path: str) -> PathStat:
    """What is at a path of the container, a link itself. Raises NotFoundError, SandboxError."""
    _require(path)
    value = call_in_tree(paths, word, inside.read_stat, path, word).value
    assert isinstance(value, list)
    return PathStat(*value)


def get_archive(paths: Paths, word: str, request: ArchiveOut, output_fd: int, told: Told | None = None) -> Copied:
    """Write what is at a path to a descriptor, as a tar archive. Raises NotFoundError, SandboxError."""
    _require(request.path)
    answer = call_in_tree(
        paths, word, inside.write_archive, request.path, word, output_fd, request.follow_link, request.sparse, told
    )
    _tell(paths, answer.container.id, "archive-path")
    assert isinstance(answer.value, list)
    size, notes, incomplete = answer.value
    return Copied(size, tuple(notes), incomplete)


def put_archive(paths: Paths, word: str, request: ArchiveIn, input_fd: int) -> Copied:
    """Extract the archive that a descriptor gives, compressed or not. Raises NotFoundError, SandboxError, UsageError
    for what is read-only or no directory, ConflictError for a directory in a file's place.
    """
    _require(request.path)
    taking = Taking(request.source, request.keeps_kinds, request.owner, request.as_user, word)
    answer = call_in_tree(paths, word, inside.take_archive, request.path, input_fd, taking)
    _tell(paths, answer.container.id, "extract-to-dir")
    assert isinstance(answer.value, list)
    size, notes, path = answer.value
    return Copied(size, tuple(notes), path=path)


def _require(path: str) -> None:
    if not path:
        raise UsageError("bad parameter: 'path' cannot be empty", field="path")
    if "\0" in path:
        raise UsageError("invalid path: it contains a NUL byte", field="path")


def _tell(paths: Paths, container_id: str, action: str) -> None:
    with open_state(paths, durable=False) as connection:
        tell(connection, container_id, Tell(action))
