"""What can be done with images, for whoever asks: a command, a program. Values in, values out, as with containers.

A transfer opens the context's progress and closes it. Pulling, loading and importing start processes: a program that
has threads or an open database has them done by workers (`sandbox.warm`).
"""

from __future__ import annotations

from contextlib import closing

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, BinaryIO

    from sandbox.image.archive.importing import ImportRequest
    from sandbox.image.deletion import RemoveRequest
    from sandbox.image.inspect import HistoryEntry
    from sandbox.image.listing import ImageLine, ListRequest
    from sandbox.image.references import Reference
    from sandbox.image.removal import Removed
    from sandbox.image.searching import SearchRequest, SearchResult
    from sandbox.image.slim_report import SlimReport
    from sandbox.image.store import ImageRecord
    from sandbox.image.transfer.pull_job import Pulled
    from sandbox.image.transfer.push import PushJob
    from sandbox.image.tree import TreeImage
    from sandbox.operation_context import OperationContext


class Archive(NamedTuple):
    """An archive to be read: `what` names it in errors, as "standard input" does."""

    stream: BinaryIO
    what: str


def pull(context: OperationContext, name: str, platform: str | None = None) -> Pulled:
    """Bring an image here. Raises RegistryError, AuthenticationError, NotFoundError, ImageError, HostError."""
    from sandbox.image.transfer.pull import pull_image

    with closing(context.open_progress()) as progress:
        return pull_image(context.paths, context.env, name, platform, progress)


def bring(context: OperationContext, name: str) -> None:
    """Pull an image that is not here, for those who come later and have other credentials. Where it cannot be had they
    are told why.
    """
    from contextlib import suppress

    from sandbox.errors import NotFoundError, SandboxError

    try:
        inspect(context, name)
    except NotFoundError:
        with suppress(SandboxError):
            pull(context, name)


def pull_all_tags(context: OperationContext, name: str, platform: str | None = None) -> tuple[Pulled, ...]:
    """Bring every tag of a repository here; errors as of `pull`, and UsageError for a name with a tag."""
    from sandbox.image.transfer.pull import pull_all_tags as pull_them

    with closing(context.open_progress()) as progress:
        return pull_them(context.paths, context.env, name, platform, progress)


def push(
    context: OperationContext, name: str, *, all_tags: bool = False, platform: str | None = None
) -> tuple[PushJob, ...]:
    """Bring an image, or every tag of a repository, to its registry. Raises SandboxError."""
    from sandbox.image.transfer.push import push_image

    with closing(context.open_progress()) as progress:
        return push_image(context.paths, context.env, name, progress, all_tags=all_tags, platform=platform)


def load(
    context: OperationContext,
    archive: Archive,
    platform: str | None,
    tell: Callable[[tuple[Reference, ...], ImageRecord], None],
) -> None:
    """Bring every image of an archive here; `tell` gets each with its names as soon as it is there. Raises ImageError:
    images loaded before the error stay.
    """
    from sandbox.image.archive.archives import load_archive
    from sandbox.image.platforms import host_platform, parse_platform

    wanted = parse_platform(platform) if platform else host_platform()
    with closing(context.open_progress()) as progress:
        load_archive(context.paths, archive.stream, archive.what, wanted, tell, progress)


def save(context: OperationContext, names: Sequence[str], stream: BinaryIO, platform: str | None = None) -> None:
    """Write an archive with images. Raises NotFoundError before anything is written, SandboxError."""
    from sandbox.image.archive.saving import choose_images, tell_saved, write_archive

    images = choose_images(context.paths, names, platform)
    write_archive(context.paths, images, stream)
    tell_saved(context.paths, images)


def import_tree(context: OperationContext, archive: Archive, request: ImportRequest) -> ImageRecord:
    """Make an image of one layer, the tree in an archive. Raises ImageError."""
    from sandbox.image.archive.importing import import_archive

    with closing(context.open_progress()) as progress:
        return import_archive(context.paths, archive.stream, archive.what, request, progress)


def search(context: OperationContext, request: SearchRequest) -> list[SearchResult]:
    """The images of a registry that a word finds, those with the most stars first. Raises UsageError, FilterError,
    RegistryError.
    """
    from sandbox.image.searching import search as search_registry

    return search_registry(context, request)


def list_images(context: OperationContext, request: ListRequest) -> list[ImageLine]:
    """The images asked for, the newest first, a line for each name. Raises UsageError, FilterError, NotFoundError."""
    from sandbox.image.listing import list_lines
    from sandbox.state import open_state

    with open_state(context.paths) as connection:
        return list(list_lines(connection, request))


def image_tree(context: OperationContext, request: ListRequest) -> list[TreeImage]:
    """The same by image, with what is stored of each. Raises as `list_images`."""
    from sandbox.image.tree import list_tree
    from sandbox.state import open_state

    with open_state(context.paths) as connection:
        return list_tree(connection, context.paths, request)


def remove(context: OperationContext, name: str, request: RemoveRequest | None = None) -> Removed:
    """Remove a name, and with the last one the image. Raises NotFoundError, ConflictError where it is used."""
    from sandbox.image.deletion import RemoveRequest, remove_image

    return remove_image(context.paths, name, request or RemoveRequest())


def tag(context: OperationContext, source: str, target: str) -> None:
    """Give an image one more name, which others lose. Raises NotFoundError, UsageError."""
    from sandbox.image.copies import keep_image_copies
    from sandbox.image.store import get_image, tag_image
    from sandbox.state import open_state
    from sandbox.transactions import transaction

    with open_state(context.paths) as connection:
        with transaction(connection):
            tag_image(connection, get_image(connection, source).id, target)
        keep_image_copies(connection)


def history(context: OperationContext, name: str, platform: str | None = None) -> list[HistoryEntry]:
    """The steps that an image was made by, the last one first. Raises NotFoundError."""
    from sandbox.image.inspect import image_history
    from sandbox.image.platforms import require_platform
    from sandbox.image.store import get_image
    from sandbox.state import open_state

    with open_state(context.paths) as connection:
        image = get_image(connection, name)
        require_platform(image.platform, platform, name)
        return image_history(context.paths, connection, image)


def inspect(context: OperationContext, name: str, platform: str | None = None) -> dict[str, Any]:
    """Docker's document of an image. Raises NotFoundError."""
    from sandbox.image.inspect import inspect_image
    from sandbox.image.platforms import require_platform
    from sandbox.image.store import get_image
    from sandbox.state import open_state

    with open_state(context.paths) as connection:
        image = get_image(connection, name)
        require_platform(image.platform, platform, name)
        return inspect_image(context.paths, connection, image)


def slim_report(context: OperationContext, name: str, traces: Sequence[str]) -> SlimReport:
    """What an image could leave out, by what its runs read: `traces` are absolute paths of their files. Raises
    NotFoundError; UsageError for a trace of another image, SandboxError for a file that is none.
    """
    from sandbox.image.slim_report import read_trace
    from sandbox.image.slim_report import slim_report as make_report
    from sandbox.image.store import get_image
    from sandbox.state import open_state

    with open_state(context.paths) as connection:
        image = get_image(connection, name)
    used: set[tuple[str, str]] = set()
    for trace in traces:
        used |= read_trace(trace)
    return make_report(context.paths, image, used)
