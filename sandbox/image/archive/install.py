"""Images made of what is on this machine: blobs stored, layers unpacked, the row written. For load and import."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sandbox.image.events import image_event
from sandbox.image.recording import base_lock, content_store, make_record, plan_layers, save_record
from sandbox.image.references import DEFAULT_TAG
from sandbox.image.store import find_image
from sandbox.image.transfer.pull import with_workers
from sandbox.image.transfer.unpacking import open_pool
from sandbox.image.trio_runs import run_trio
from sandbox.state import open_state
from storage.layers.store import LayerStore

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from sandbox.image.documents import ImageConfig
    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord
    from sandbox.image.stored_layer import Layer
    from sandbox.image.transfer.progress import Progress
    from sandbox.image.transfer.unpacking import UnpackPool
    from sandbox.paths import Paths
    from storage.digests import Digest


class LocalImage(NamedTuple):
    """An image whose blobs are in the content store already; `manifest` names them."""

    config: ImageConfig
    config_data: bytes
    manifest: bytes
    blobs: tuple[Digest, ...]
    names: tuple[Reference, ...]
    #: which event it is
    action: str = "load"


def install_images(
    paths: Paths,
    collect: Callable[[], Sequence[LocalImage]],
    progress: Progress,
    done: Callable[[LocalImage, ImageRecord], None] | None = None,
) -> tuple[ImageRecord, ...]:
    """Unpack and record what `collect` brings into the content store, telling `done` of each. Raises ImageError.

    `progress` is told of layers, and warned of what of one could not be had. `collect` runs with the store held, so
    that nothing it brings is collected as garbage.
    """
    records = []

    async def main(sockets: Sequence[socket.socket]) -> None:
        store = LayerStore(paths.layers)
        async with open_pool(store, sockets, progress.warning, progress.layer_unpacked) as pool:
            for image in collect():
                record = await _install(paths, store, pool, image, progress)
                records.append(record)
                if done is not None:
                    done(image, record)

    with_workers(paths, lambda workers: run_trio(lambda: main(workers.sockets)))
    return tuple(records)


async def _install(
    paths: Paths, store: LayerStore, pool: UnpackPool, image: LocalImage, progress: Progress
) -> ImageRecord:
    content = content_store(paths)
    image_id = content.put(image.config_data)
    manifest_digest = content.put(image.manifest)
    layers = plan_layers(image.blobs, image.config, content, image_id)
    if layers:
        missing = [layer.blob for layer in layers if not store.has(layer.chain_id)]
        for blob in missing:
            progress.layer(blob, "Extracting")
        await _unpack(paths, pool, layers)
        for blob in missing:
            progress.layer(blob, "Loaded")
    record = make_record(image_id, manifest_digest, image.config, image.config_data, layers, store)
    if image.action == "load":
        _tell_displaced(paths, image.names, record.id, progress)
    save_record(paths, record, image.names, [], [image_event(image.action, record.id, record.config)])
    return record


def _tell_displaced(paths: Paths, names: Sequence[Reference], image_id: str, progress: Progress) -> None:
    with open_state(paths) as connection:
        for name in names:
            before = find_image(connection, name.name)
            if before is not None and before.id != image_id:
                shown = name.familiar if name.tag else f"{name.familiar}:{DEFAULT_TAG}"
                told = f"The image {shown} already exists, renaming the old one with ID {before.id} to empty string"
                progress.line(told)


async def _unpack(paths: Paths, pool: UnpackPool, layers: Sequence[Layer]) -> None:
    # here: a build records its image with this module loaded and nothing to unpack
    import trio

    async with base_lock(paths, layers), trio.open_nursery() as nursery:
        lower_ready = trio.Event()
        lower_ready.set()
        for position in range(len(layers)):
            done = trio.Event()
            nursery.start_soon(pool.install, layers, position, lower_ready, done)
            lower_ready = done
