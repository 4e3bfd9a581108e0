"""What the store takes on disk: `system df`, and what a prune has freed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from sandbox.container.life.reconcile import reconcile_all
from sandbox.container.model.store import all_containers
from sandbox.container.view.sizes import container_sizes
from sandbox.errors import ImageError
from sandbox.image.recording import content_store
from sandbox.image.removal import needed_without
from sandbox.image.store import list_images, names_of
from sandbox.state import open_state
from sandbox.volume.sizes import volume_bytes
from sandbox.volume.store import list_volumes, users_of_volumes
from storage.digests import parse_digest
from storage.errors import StorageError
from storage.layers.store import LayerStore

if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import Container
    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths
    from storage.content import ContentStore

_ALIVE = frozenset({"running", "paused", "restarting"})


class Share(NamedTuple):
    """One kind of thing: how many there are and are in use, what they take, and what a prune could free."""

    kind: str
    total: int
    active: int
    size_bytes: int
    reclaimable_bytes: int


def measure(paths: Paths) -> tuple[Share, ...]:
    """Images, containers, local volumes and build cache. Layers that images share are counted once; what can be
    had back of images is what `image prune -a` frees, so nothing that the cache or a container needs.
    """
    from sandbox.builder.cache.cache_usage import freed_bytes, list_cache

    # closed before anything forks
    with open_state(paths) as connection:
        containers = reconcile_all(connection, paths, all_containers(connection))
        images = list_images(connection)
        volumes = [name for (name,) in connection.execute("SELECT name FROM volume")]
        used_images = {container.config.image_id for container in containers}
        image_bytes, unused_bytes = _measure_images(paths, connection, {image.id for image in images} - used_images)
    written = {container.id: container_sizes(paths, container).written_bytes for container in containers}
    running = [container.id for container in containers if container.state.status in _ALIVE]
    mounted = {m.source for container in containers for m in container.config.mounts if m.kind == "volume"}
    sizes = dict(zip(volumes, volume_bytes(paths, volumes), strict=True))
    cache = list_cache(paths)
    freed = freed_bytes(cache, cache)
    return (
        Share("Images", len(images), sum(image.id in used_images for image in images), image_bytes, unused_bytes),
        Share("Containers", len(containers), len(running), sum(written.values()),
              sum(size for container_id, size in written.items() if container_id not in running)),
        Share("Local Volumes", len(volumes), len(mounted & set(volumes)), sum(sizes.values()),
              sum(size for name, size in sizes.items() if name not in mounted)),
        Share("Build Cache", len(cache), sum(record.shared for record in cache), freed, freed),
    )  # fmt: skip


def _measure_images(paths: Paths, connection: sqlite3.Connection, unused: set[str]) -> tuple[int, int]:
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
        unpacked = sum(_layer_bytes(paths, chain_id) for chain_id in chain_ids)
        return unpacked + sum(_blob_bytes(content, digest) for digest in digests)

    return total(layers, blobs), total(layers - kept_layers, blobs - kept_blobs)


def _blob_bytes(content: ContentStore, digest: str) -> int:
    try:
        return content.size(parse_digest(digest))
    except StorageError:
        return 0


class ImageUse(NamedTuple):
    """An image, what others have of it too, what it alone has, and how many containers were made of it."""

    record: ImageRecord
    names: tuple[Reference, ...]
    shared_bytes: int
    own_bytes: int
    containers: int


class VolumeUse(NamedTuple):
    """A volume, how many containers mount it, and what it takes."""

    name: str
    links: int
    size_bytes: int


class Details(NamedTuple):
    images: tuple[ImageUse, ...]
    containers: tuple[Container, ...]
    volumes: tuple[VolumeUse, ...]


def measure_each(paths: Paths) -> Details:
    """Every image, container and volume by itself."""
    # closed before anything forks
    with open_state(paths) as connection:
        containers = reconcile_all(connection, paths, all_containers(connection))
        images = list_images(connection)
        names = {image.id: names_of(connection, image.id) for image in images}
        volumes = [volume.name for volume in list_volumes(connection)]
        users = users_of_volumes(connection)
    sizes = {chain_id: _layer_bytes(paths, chain_id) for image in images for chain_id in image.layers}
    holders = Counter(chain_id for image in images for chain_id in set(image.layers))
    made = Counter(container.config.image_id for container in containers)
    uses = []
    for image in images:
        shared = sum(sizes[chain_id] for chain_id in set(image.layers) if holders[chain_id] > 1)
        own = sum(sizes[chain_id] for chain_id in set(image.layers) if holders[chain_id] == 1)
        uses.append(ImageUse(image, names[image.id], shared, own, made[image.id]))
    taken = zip(volumes, volume_bytes(paths, volumes), strict=True)
    return Details(
        tuple(uses), tuple(containers), tuple(VolumeUse(name, len(users.get(name, ())), size) for name, size in taken)
    )


def stored_bytes(paths: Paths) -> int:
    """What blobs and layers take: looked at before and after a removal, it is what that freed."""
    content, store = content_store(paths), LayerStore(paths.layers)
    blobs = 0
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
