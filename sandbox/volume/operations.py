"""What can be done with volumes, for whoever asks: a command, a program. Values in, values out, as with containers."""

from __future__ import annotations

from sandbox.errors import NotFoundError, UsageError
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from sandbox.grammar.filters import Filters
    from sandbox.operation_context import OperationContext
    from sandbox.volume.prune import PrunedVolumes
    from sandbox.volume.store import Volume

#: volumes are directories, and no driver makes others
DRIVER = "local"
_FILTERS = ("dangling", "driver", "label", "name")


def create(
    context: OperationContext, name: str = "", labels: Mapping[str, str] | None = None, driver: str = DRIVER
) -> str:
    """Make the volume where there is none of its name; without one a name is made up. Returns the name. Raises
    UsageError, SandboxError.
    """
    from sandbox.volume.store import create_volume

    if driver != DRIVER:
        raise UsageError(f"the volume driver {driver} is not there", mend="leave --driver out: volumes are directories")
    with open_state(context.paths) as connection:
        return create_volume(connection, context.paths, name, labels or {})


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
    from sandbox.humane import rfc3339
    from sandbox.volume.store import get_volume
    from sandbox.volume.volumes import volume_data

    with open_state(context.paths, durable=False) as connection:
        volume = get_volume(connection, name)
    return {
        "CreatedAt": rfc3339(volume.created_ns),
        "Driver": DRIVER,
        "Labels": volume.labels or None,
        "Mountpoint": volume_data(context.paths, volume.name),
        "Name": volume.name,
        "Options": None,
        "Scope": "local",
    }


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


def prune(context: OperationContext, accept: Callable[[Volume], bool]) -> PrunedVolumes:
    """Remove the volumes that no container mounts and that `accept` takes."""
    from sandbox.volume.prune import prune_volumes

    return prune_volumes(context.paths, accept)


def _fits(filters: Filters, volume: Volume, used: bool) -> bool:
    return (
        filters.flag("dangling") in (None, not used)
        and filters.match("driver", lambda text: text == DRIVER)
        and filters.match("name", lambda text: text in volume.name)
        and filters.match_labels(volume.labels)
    )


def prune_unnamed(context: OperationContext) -> PrunedVolumes:
    """Remove the volumes without a name that no container mounts."""
    return prune(context, lambda volume: volume.anonymous)
