"""What goes with images: their rows, then the files that nothing needs any more.

A row goes in a transaction (`deletion.py` has the rules); files follow, collected by what is still referenced, never by
what was just removed. A collection that was killed, or that found somebody pulling, is made up for by the next one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from sandbox.errors import ImageError, translated
from sandbox.image.copies import drop_image_copy
from sandbox.image.events import emit_of, emit_untagged
from sandbox.image.go_json import load_document
from sandbox.image.layer_blobs import forget_source, needed_blobs
from sandbox.image.recording import content_store, images_lock
from sandbox.image.store import children_of, digests_of, list_images, names_of
from sandbox.record_copies import find_unrecorded
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.state import open_state
from sandbox.transactions import transaction
from storage.digests import parse_digest
from storage.errors import StorageError
from storage.layers.store import LayerStore

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Sequence

    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths
    from storage.content import ContentStore


class Removed(NamedTuple):
    """What Docker prints of a removal: the names untagged, and the ids of image and layers deleted."""

    untagged: tuple[str, ...]
    deleted: tuple[str, ...]


def forget_image(connection: sqlite3.Connection, image_id: str) -> None:
    """Remove the row with its names and digests; the caller holds the transaction, files are collected later."""
    emit_untagged(connection, image_id, len(names_of(connection, image_id)) + len(digests_of(connection, image_id)))
    emit_of(connection, "delete", image_id)
    drop_image_copy(connection, image_id)
    for table, column in (("image_name", "image_id"), ("image_digest", "image_id"), ("image", "id")):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (image_id,))


def _member(document: str, name: str) -> object:
    value = json.loads(document)
    return value.get(name) if isinstance(value, dict) else None


def collect_garbage(paths: Paths, connection: sqlite3.Connection, *, downloads: bool = False) -> tuple[str, ...]:
    """Remove the layers and blobs that no image and no container refers to; the layers' chain ids. With `downloads`
    also those that were cut short, which another pull would go on with.

    Does nothing while somebody is making an image: what they found there must stay; nor where the store says that the
    database does not know all of it.
    """
    with images_lock(paths, exclusive=True, wait=False) as held, translated(ImageError, "cannot remove the image"):
        if not held or find_unrecorded(connection, paths.data_root):
            return ()
        content = content_store(paths)
        needed = _needed_blobs(connection, content)
        for digest in content.digests():
            if needed is not None and digest not in needed:
                content.delete(digest)
                forget_source(connection, digest)
        content.sweep(*([0] if downloads else []))
        used = _used_layers(connection)
        store = LayerStore(paths.layers)
        unused = [chain_id for chain_id in store.chain_ids() if chain_id not in used]
        if unused or store.leftovers():
            # the files belong to subordinate ids: only root of the user namespace may remove them
            call_in_user_namespace(_remove_layers, paths.layers, unused)
        return tuple(reversed(unused))


def _remove_layers(layers_root: str, chain_ids: list[str]) -> None:
    store = LayerStore(layers_root)
    for chain_id in chain_ids:
        store.remove(parse_digest(chain_id))
    store.sweep()


def needed_without(
    connection: sqlite3.Connection, content: ContentStore, gone: Collection[str] = (), *, images_alone: bool = False
) -> tuple[set[str], set[str]]:
    """Chain ids of the layers, and digests of the blobs, that would be needed if the images `gone` were not there; with
    `images_alone` by images, whatever containers and the build cache need. Raises StorageError for a manifest that is
    not there.
    """
    diff_ids: set[str] = set()
    needed = _blobs_of_records(connection, content, diff_ids, gone, images_alone=images_alone)
    forms = connection.execute("SELECT diff_id, digest FROM layer_blob")
    needed.update(digest for diff_id, digest in forms if diff_id in diff_ids)
    return _used_layers(connection, gone, images_alone=images_alone), needed


def _used_layers(connection: sqlite3.Connection, gone: Collection[str] = (), *, images_alone: bool = False) -> set[str]:
    used: set[str] = set()
    for image_id, layers in connection.execute("SELECT id, layers FROM image"):
        if image_id not in gone:
            used.update(json.loads(layers))
    if images_alone:
        return used
    for (config,) in connection.execute("SELECT config FROM container"):
        # a container keeps its layers when its image was removed by force
        layers = _member(config, "layers")
        used.update(layers if isinstance(layers, list) else [])
    used.update(json.loads(layer)[0] for (layer,) in connection.execute("SELECT layer FROM build_cache"))
    return used


def _needed_blobs(connection: sqlite3.Connection, content: ContentStore) -> set[str] | None:
    """The blobs that somebody may want again; None where that cannot be told, for a manifest is damaged."""
    diff_ids: set[str] = set()
    try:
        needed = _blobs_of_records(connection, content, diff_ids)
    except StorageError:
        return None
    return needed | needed_blobs(connection, diff_ids)


def _blobs_of_records(
    connection: sqlite3.Connection, content: ContentStore, diff_ids: set[str], gone: Collection[str] = (), *,
    images_alone: bool = False,
) -> set[str]:  # fmt: skip
    """The blobs that images and cached steps name; their layers, which may have other forms, are put in `diff_ids`."""
    needed: set[str] = set()
    for image_id, manifest_digest, config in connection.execute("SELECT id, manifest_digest, config FROM image"):
        if image_id in gone:
            continue
        needed |= {image_id, manifest_digest}
        diff_ids.update(json.loads(config)["rootfs"].get("diff_ids") or ())
        manifest = load_document(content.read(parse_digest(manifest_digest)))
        needed.update(layer["digest"] for layer in manifest["layers"])
    if images_alone:
        return needed
    for (layer,) in connection.execute("SELECT layer FROM build_cache"):
        # a cached step is used again only with its archive
        _chain_id, diff_id, descriptor, *_rest = json.loads(layer)
        needed |= {diff_id, descriptor["digest"]}
        diff_ids.add(diff_id)
    return needed


def prune_images(
    paths: Paths, accept: Callable[[ImageRecord, tuple[Reference, ...]], bool], *, garbage: bool = False
) -> tuple[Removed, ...]:
    """Remove the images that no container was made of and that `accept` takes, told their names; with `garbage` also
    what pulls, loads and builds that were cut short have left. One answer for each image, and one for what was none's.
    """
    with open_state(paths, frees=True) as connection:
        gone: list[tuple[ImageRecord, tuple[str, ...]]] = []
        with transaction(connection):
            used = {image_id for (image_id,) in connection.execute("SELECT image_id FROM container")}
            for image in list_images(connection):
                names = names_of(connection, image.id)
                # the newest come first: what an image was made of is met after it
                is_between = not names and children_of(connection, image.id)
                if image.id not in used and not is_between and accept(image, names):
                    texts = tuple(name.familiar for name in (*names, *digests_of(connection, image.id)))
                    gone.append((image, texts))
                    forget_image(connection, image.id)
        collected = collect_garbage(paths, connection, downloads=garbage) if gone or garbage else ()
        return _by_image(gone, collected)


def _by_image(gone: Sequence[tuple[ImageRecord, tuple[str, ...]]], collected: Sequence[str]) -> tuple[Removed, ...]:
    """A layer goes with the last image that had it."""
    last = {chain_id: image.id for image, _texts in gone for chain_id in image.layers}
    removed = [
        Removed(texts, (image.id, *(chain_id for chain_id in collected if last.get(chain_id) == image.id)))
        for image, texts in gone
    ]
    left = tuple(chain_id for chain_id in collected if chain_id not in last)
    return (*removed, *([Removed((), left)] if left else []))
