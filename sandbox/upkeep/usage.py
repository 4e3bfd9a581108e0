"""What the store takes on disk: `system df`, and what a prune has freed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from sandbox.container.life.reconcile import reconcile_all
from sandbox.container.model.store import all_containers
from sandbox.container.view.sizes import measure_containers
from sandbox.errors import ImageError
from sandbox.image.recording import content_store
from sandbox.image.removal import needed_without
from sandbox.image.store import digests_of, list_images, names_of
from sandbox.state import open_state
from sandbox.volume.sizes import volume_bytes
from sandbox.volume.store import list_volumes, mounts_of
from storage.digests import parse_digest
from storage.errors import StorageError
from storage.layers.store import LayerStore

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from sandbox.builder.cache.cache_usage import CacheRecord
    from sandbox.container.model.record import Container
    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths
    from sandbox.volume.store import Volume
    from storage.content import ContentStore

_ALIVE = frozenset({"running", "paused", "restarting"})


class Share(NamedTuple):
    """One kind of thing: how many there are and are in use, what they take, and what a prune could free."""

    kind: str
    total: int
    active: int
    size_bytes: int
    reclaimable_bytes: int


class ImageUse(NamedTuple):
    """An image, what others have of it too, what it alone has, and how many containers were made of it."""

    record: ImageRecord
    names: tuple[Reference, ...]
    digests: tuple[Reference, ...]
    shared_bytes: int
    own_bytes: int
    containers: int


class ContainerUse(NamedTuple):
    """A container and what it has written; with its image it takes `total_bytes`."""

    container: Container
    written_bytes: int
    total_bytes: int


class VolumeUse(NamedTuple):
    """A volume, how many containers mount it, and what it takes."""

    volume: Volume
    links: int
    size_bytes: int


class Usage(NamedTuple):
    """Every image, container, volume and record of the build cache, and what images take together: layers that several
    have are counted once. What can be had back of images is what `image prune -a` frees, so nothing that the cache or
    a container needs.
    """

    images: tuple[ImageUse, ...]
    containers: tuple[ContainerUse, ...]
    volumes: tuple[VolumeUse, ...]
    cache: tuple[CacheRecord, ...]
    images_bytes: int
    unused_images_bytes: int
    layers_bytes: int
    cache_bytes: int

    def shares(self) -> tuple[Share, ...]:
        """The lines of `system df`."""
        resting = [use for use in self.containers if use.container.state.status not in _ALIVE]
        return (
            Share("Images", len(self.images), sum(use.containers > 0 for use in self.images), self.images_bytes,
                  self.unused_images_bytes),
            Share("Containers", len(self.containers), len(self.containers) - len(resting),
                  sum(use.written_bytes for use in self.containers), sum(use.written_bytes for use in resting)),
            Share("Local Volumes", len(self.volumes), sum(use.links > 0 for use in self.volumes),
                  sum(use.size_bytes for use in self.volumes),
                  sum(use.size_bytes for use in self.volumes if not use.links)),
            Share("Build Cache", len(self.cache), sum(record.shared for record in self.cache), self.cache_bytes,
                  self.cache_bytes),
        )  # fmt: skip


def measure(paths: Paths) -> Usage:
    """Look at everything. Raises ImageError for a damaged manifest."""
    from sandbox.builder.cache.cache_usage import freed_bytes, list_cache

    # closed before anything forks
    with open_state(paths) as connection:
        containers = reconcile_all(connection, paths, all_containers(connection))
        images = list_images(connection)
        names = {image.id: (names_of(connection, image.id), digests_of(connection, image.id)) for image in images}
        volumes = list_volumes(connection)
        users = mounts_of(containers)
        made = Counter(container.config.image_id for container in containers)
        unused = {image.id for image in images} - made.keys()
        layers = {chain_id: _layer_bytes(paths, chain_id) for image in images for chain_id in image.layers}
        images_bytes, unused_bytes = _measure_images(paths, connection, unused, layers)
    holders = Counter(chain_id for image in images for chain_id in set(image.layers))
    uses = []
    for image in images:
        shared = sum(layers[chain_id] for chain_id in set(image.layers) if holders[chain_id] > 1)
        own = sum(layers[chain_id] for chain_id in set(image.layers) if holders[chain_id] == 1)
        uses.append(ImageUse(image, *names[image.id], shared, own, made[image.id]))
    written = measure_containers(paths, containers)
    taken = volume_bytes(paths, [volume.name for volume in volumes])
    cache = list_cache(paths)
    return Usage(
        tuple(uses),
        tuple(ContainerUse(container, *sizes) for container, sizes in zip(containers, written, strict=True)),
        tuple(
            VolumeUse(volume, len(users.get(volume.name, ())), size)
            for volume, size in zip(volumes, taken, strict=True)
        ),
        tuple(cache),
        images_bytes,
        unused_bytes,
        sum(layers.values()),
        freed_bytes(cache, cache),
    )


def _measure_images(
    paths: Paths, connection: sqlite3.Connection, unused: set[str], layer_bytes: Mapping[str, int]
) -> tuple[int, int]:
    """What images take, unpacked and as archives, and what of it would go if those `unused` did."""
    content = content_store(paths)
    try:
        layers, blobs = needed_without(connection, content, images_alone=True)
        kept_layers, kept_blobs = needed_without(connection, content, unused)
    except StorageError as error:
        raise ImageError(
            "cannot measure the images", cause=error.message, mend="sandbox system check --repair"
        ) from error

    def total(chain_ids: set[str], digests: set[str]) -> int:
        unpacked = sum(layer_bytes[chain_id] for chain_id in chain_ids)
        return unpacked + sum(_blob_bytes(content, digest) for digest in digests)

    return total(layers, blobs), total(layers - kept_layers, blobs - kept_blobs)


def _blob_bytes(content: ContentStore, digest: str) -> int:
    try:
        return content.size(parse_digest(digest))
    except StorageError:
        return 0


def stored_bytes(paths: Paths) -> int:
    """What blobs and layers take, also those cut short: looked at before and after a removal, it is what that freed."""
    content, store = content_store(paths), LayerStore(paths.layers)
    blobs = content.partial_bytes()
    for digest in content.digests():
        try:
            blobs += content.size(digest)
        except StorageError:
            continue  # removed by somebody meanwhile
    return blobs + sum(_layer_bytes(paths, chain_id) for chain_id in store.chain_ids())


def _layer_bytes(paths: Paths, chain_id: str) -> int:
    try:
        size = LayerStore(paths.layers).describe(parse_digest(chain_id)).get("size_bytes")
    except StorageError:
        return 0
    return size if isinstance(size, int) else 0
