"""What nobody uses, removed: stopped containers, images without a container. For volumes see `volume.prune`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.container.life.reconcile import reconcile_all
from sandbox.container.life.remove import remove_container
from sandbox.container.model.store import all_containers
from sandbox.container.view.sizes import measure_containers
from sandbox.errors import ConflictError, NotFoundError
from sandbox.events import tell_pruned
from sandbox.image.removal import Removed, prune_images
from sandbox.state import open_state
from sandbox.upkeep.usage import stored_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths

_STOPPED = frozenset({"created", "exited", "dead"})


class PrunedContainers(NamedTuple):
    """The ids of those that went, and the bytes they had written."""

    ids: tuple[str, ...]
    freed_bytes: int


class PrunedImages(NamedTuple):
    """What went with each image, and the bytes that freed: layers that the build cache keeps are not among them."""

    removed: tuple[Removed, ...]
    freed_bytes: int


def prune_containers(paths: Paths, accept: Callable[[int, Mapping[str, str]], bool]) -> PrunedContainers:
    """Remove the containers that do not run, with what they wrote; their unnamed volumes stay, as Docker has it.

    `accept` is asked with the time each was made (ns since 1970) and its labels.
    """
    # closed before anything forks
    with open_state(paths, frees=True) as connection:
        found = reconcile_all(connection, paths, all_containers(connection))
    chosen = [
        container
        for container in found
        if container.state.status in _STOPPED and accept(container.created_ns, dict(container.config.labels))
    ]
    ids: list[str] = []
    freed = 0
    for container, sizes in zip(chosen, measure_containers(paths, chosen), strict=True):
        with open_state(paths, frees=True) as connection:
            try:
                remove_container(connection, paths, container.id)
            except (ConflictError, NotFoundError):
                continue  # started, or removed by somebody, meanwhile
        ids.append(container.id)
        freed += sizes.written_bytes
    tell_pruned(paths, "container", freed)
    return PrunedContainers(tuple(ids), freed)


def prune_unused_images(
    paths: Paths, accept: Callable[[int, Mapping[str, str]], bool], *, named: bool = False, garbage: bool = False
) -> PrunedImages:
    """Remove images without a container that have no name; with `named`, those that have one too, and with `garbage`
    also what pulls, loads and builds that were cut short have left.
    """

    def takes(image: ImageRecord, names: tuple[Reference, ...]) -> bool:
        labels = (image.config.get("config") or {}).get("Labels") or {}
        return (named or not names) and accept(image.created_ns, labels)

    before = stored_bytes(paths)
    removed = prune_images(paths, takes, garbage=garbage)
    freed = max(before - stored_bytes(paths), 0)
    tell_pruned(paths, "image", freed)
    return PrunedImages(removed, freed)
