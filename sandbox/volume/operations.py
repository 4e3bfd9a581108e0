"""What can be done with volumes, for whoever asks: a command, a program. Values in, values out, as with containers."""

from __future__ import annotations

from sandbox.errors import NotFoundError, UsageError
from sandbox.grammar.local_driver import DRIVER
from sandbox.named_tuple import NamedTuple
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sandbox.grammar.filters import Filters
    from sandbox.operation_context import OperationContext
    from sandbox.volume.prune import PrunedVolumes
    from sandbox.volume.store import Volume


class Created(NamedTuple):
    """A volume's name, and what is to be known of it, a sentence each."""

    name: str
    notes: tuple[str, ...] = ()


_FILTERS = ("dangling", "driver", "label", "name")


class VolumeRequest(NamedTuple):
    """What a volume is to be made with; `options` are those of the driver."""

    name: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    driver: str = DRIVER
    options: tuple[tuple[str, str], ...] = ()


def create(context: OperationContext, request: VolumeRequest = VolumeRequest()) -> Created:  # noqa: B008  a value
    """Make the volume where there is none of its name; without one a name is made up. Raises UsageError for what it
    cannot be made with, NotSupportedError for what only root can mount.
    """
    from sandbox.grammar.local_driver import TMPFS_NOTE, read_options
    from sandbox.grammar.volumes import check_volume_name
    from sandbox.volume.store import Volume, create_volume

    name, labels, driver, options = request
    if driver != DRIVER:
        raise UsageError(
            f'error looking up volume plugin {driver}: plugin "{driver}" not found',
            mend="leave --driver out: volumes are directories",
        )
    if name:
        check_volume_name(name, "sandbox volume create NAME")
    local = read_options(dict(options))
    with open_state(context.paths) as connection:
        made = create_volume(connection, context.paths, Volume(name, 0, dict(labels), not name, dict(options)))
    return Created(made, () if local is None or local.directory else (TMPFS_NOTE,))


def list_all(context: OperationContext, filters: Sequence[str] = ()) -> list[Volume]:
    """The volumes that pass every filter ("label=a=b"), by name. Raises UsageError, FilterError."""
    from sandbox.grammar.filters import parse_filters
    from sandbox.volume.store import list_volumes, users_of_volumes

    wanted = parse_filters(filters, _FILTERS)
    with open_state(context.paths, durable=False) as connection:
        users = users_of_volumes(connection) if wanted.given("dangling") else {}
        return [volume for volume in list_volumes(connection) if _fits(wanted, volume, volume.name in users)]


def inspect(context: OperationContext, name: str) -> dict[str, Any]:
    """Docker's document of a volume. Raises NotFoundError."""
    from sandbox.volume.document import describe_volume
    from sandbox.volume.store import get_volume

    with open_state(context.paths, durable=False) as connection:
        volume = get_volume(connection, name)
    return describe_volume(context.paths, volume)


def export(context: OperationContext, name: str, output_fd: int) -> tuple[str, ...]:
    """Write the volume's files to a descriptor, as a tar archive with owners, attributes, links and holes; what could
    not be put into it, a sentence each. Raises NotFoundError, NotSupportedError for a tmpfs, SandboxError.
    """
    from sandbox.volume.archive import export_volume

    return export_volume(context.paths, name, output_fd)


def import_archive(context: OperationContext, name: str, input_fd: int) -> tuple[str, ...]:
    """Lay the files of a tar archive, which may be compressed, over those of the volume: all of them, or none where it
    fails or is killed. What of the archive could not be had, a sentence each. Raises NotFoundError; ConflictError where
    a container that runs mounts it; NotSupportedError for one that is a directory of the host; SandboxError.
    """
    from sandbox.volume.archive import import_volume

    return import_volume(context.paths, name, input_fd)


def remove(context: OperationContext, name: str, *, force: bool = False) -> None:
    """Remove the volume with its data; by force one that is not there is no error. Raises NotFoundError; ConflictError
    where a container mounts it.
    """
    from sandbox.volume.store import remove_volume

    try:
        remove_volume(context.paths, name)
    except NotFoundError:
        if not force:
            raise


class VolumeChoice(NamedTuple):
    """Which of the unused volumes a prune takes; with `named` also those that have a name."""

    filters: Filters
    named: bool

    def takes(self, volume: Volume) -> bool:
        return (
            (self.named or volume.anonymous)
            and self.filters.match_labels(volume.labels)
            and self.filters.match_labels(volume.labels, "label!")
        )


def read_volume_filters(filters: Sequence[str], *, named: bool = False) -> VolumeChoice:
    """What the filters of a prune (all, label, label!) choose. Raises UsageError, FilterError."""
    from sandbox.grammar.filters import parse_filters

    wanted = parse_filters(filters, ("all", "label", "label!"))
    if named and wanted.given("all"):
        raise UsageError("conflicting options: cannot specify both --all and --filter all=1", mend="leave one out")
    return VolumeChoice(wanted, named or bool(wanted.flag("all")))


def prune(context: OperationContext, filters: Sequence[str] = (), *, named: bool = False) -> PrunedVolumes:
    """Remove the volumes that no container mounts, have no name and pass every filter (all, label, label!); with
    `named`, or the filter `all=true`, also those that have one. Raises UsageError, FilterError.
    """
    from sandbox.volume.prune import prune_volumes

    return prune_volumes(context.paths, read_volume_filters(filters, named=named).takes)


def _fits(filters: Filters, volume: Volume, used: bool) -> bool:
    return (
        filters.flag("dangling") in (None, not used)
        and filters.match("driver", lambda text: text == DRIVER)
        and filters.match("name", lambda text: text in volume.name)
        and filters.match_labels(volume.labels)
    )
