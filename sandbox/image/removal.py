"""Removing images: names first, then the image, then what nothing needs any more.

A row goes in a transaction; files follow, collected by what is still referenced, never by what was just removed. A
collection that was killed, or that found somebody pulling, is made up for by the next one.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from sandbox.errors import ConflictError, ImageError, translated
from sandbox.image.copies import drop_image_copy, keep_image_copies
from sandbox.image.events import emit_of, emit_untagged
from sandbox.image.go_json import load_document
from sandbox.image.layer_blobs import forget_source, needed_blobs
from sandbox.image.recording import content_store, images_lock
from sandbox.image.references import Reference, is_digest, is_identifier, parse_reference
from sandbox.image.store import digests_of, get_image, list_images, names_of
from sandbox.record_copies import find_unrecorded
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.state import open_state
from sandbox.transactions import transaction
from storage.digests import parse_digest
from storage.errors import StorageError
from storage.layers.store import LayerStore

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection

    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths
    from storage.content import ContentStore

_RUNNING = frozenset({"running", "paused", "restarting"})


class Removed(NamedTuple):
    """What Docker prints of a removal: the names untagged, and the ids of image and layers deleted."""

    untagged: tuple[str, ...]
    deleted: tuple[str, ...]


class _User(NamedTuple):
    """A container that was made from an image."""

    id: str
    image: str
    running: bool


def remove_image(paths: Paths, text: str, *, force: bool = False) -> Removed:
    """Remove the name `text`, and the image with its last name; an ID removes the image with all its names.

    Raises NotFoundError, and ConflictError where a container uses the image or an ID has several names.
    """
    with open_state(paths, frees=True) as connection:
        with transaction(connection):
            removed = _remove(connection, text, force=force)
        keep_image_copies(connection)
        if not removed.deleted:
            return removed
        return removed._replace(deleted=(*removed.deleted, *collect_garbage(paths, connection)))


def _remove(connection: sqlite3.Connection, text: str, *, force: bool) -> Removed:
    image = get_image(connection, text)
    names, digests = names_of(connection, image.id), digests_of(connection, image.id)
    users = _users(connection, image.id)
    named = _as_name(text, image)
    if named is not None:
        gone = _digests_with(named, names, digests)
        left = {*names, *digests} - {named, *gone}
        if left or (users and force and not named.digest):
            return _untag(connection, image, named, gone)
        if users:
            raise ConflictError(
                f'conflict: unable to remove repository reference "{text}" (must force) - container '
                f"{users[0].id[:12]} is using its referenced image {image.id[7:19]}",
                mend=f"sandbox rm {users[0].id[:12]}, or sandbox rmi -f {text}",
            )
    else:
        _check_id_removal(image, names, users, force=force)
    forget_image(connection, image.id)
    return Removed(tuple(reference.familiar for reference in (*names, *digests)), (image.id,))


def _digests_with(
    named: Reference, names: tuple[Reference, ...], digests: tuple[Reference, ...]
) -> tuple[Reference, ...]:
    """The references by digest that go with the name: those of its repository, where it was the last tag there."""
    if named.digest or any(name != named and name.repository == named.repository for name in names):
        return ()
    return tuple(digest for digest in digests if digest.repository == named.repository)


def _as_name(text: str, image: ImageRecord) -> Reference | None:
    """The reference by which the image was found; None where it was found by its ID."""
    if is_identifier(text) or is_digest(text) or image.name == image.id:
        return None
    reference = parse_reference(text)
    return reference if reference.digest else parse_reference(reference.name)


def _check_id_removal(image: ImageRecord, names: tuple[Reference, ...], users: list[_User], *, force: bool) -> None:
    short = image.id[7:19]
    running = next((user for user in users if user.running), None)
    if running is not None:
        raise ConflictError(
            f"conflict: unable to delete {short} (cannot be forced) - image is being used by running container "
            f"{running.id[:12]}",
            mend=f"sandbox rm -f {running.id[:12]}",
        )
    if users and not force:
        raise ConflictError(
            f"conflict: unable to delete {short} (must be forced) - image is being used by stopped container "
            f"{users[0].id[:12]}",
            mend=f"sandbox rm {users[0].id[:12]}, or sandbox rmi -f {short}",
        )
    if len(names) > 1 and not force:
        raise ConflictError(
            f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories",
            cause=", ".join(name.familiar for name in names),
            mend=f"sandbox rmi {' '.join(name.familiar for name in names)}",
        )


def _untag(
    connection: sqlite3.Connection, image: ImageRecord, name: Reference, digests: tuple[Reference, ...]
) -> Removed:
    emit_untagged(connection, image.id, len({name, *digests}))
    if name.digest:
        connection.execute(
            "DELETE FROM image_digest WHERE image_id = ? AND repository = ? AND digest = ?",
            (image.id, name.repository, name.digest),
        )
        return Removed((name.familiar,), ())
    connection.execute("DELETE FROM image_name WHERE name = ?", (name.name,))
    for digest in digests:
        connection.execute(
            "DELETE FROM image_digest WHERE image_id = ? AND repository = ? AND digest = ?",
            (image.id, digest.repository, digest.digest),
        )
    return Removed((name.familiar, *(digest.familiar for digest in digests)), ())


def forget_image(connection: sqlite3.Connection, image_id: str) -> None:
    """Remove the row with its names and digests; the caller holds the transaction, files are collected later."""
    emit_untagged(connection, image_id, len(names_of(connection, image_id)) + len(digests_of(connection, image_id)))
    emit_of(connection, "delete", image_id)
    drop_image_copy(connection, image_id)
    for table, column in (("image_name", "image_id"), ("image_digest", "image_id"), ("image", "id")):
        connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (image_id,))


def _users(connection: sqlite3.Connection, image_id: str) -> list[_User]:
    rows = connection.execute(
        "SELECT id, config, state FROM container WHERE image_id = ? ORDER BY created_ns", (image_id,)
    )
    users = []
    for container_id, config, state in rows:
        status = _member(state, "status")
        users.append(_User(container_id, str(_member(config, "image")), status in _RUNNING))
    return users


def _member(document: str, name: str) -> object:
    value = json.loads(document)
    return value.get(name) if isinstance(value, dict) else None


def collect_garbage(paths: Paths, connection: sqlite3.Connection) -> tuple[str, ...]:
    """Remove the layers and blobs that no image and no container refers to; the layers' chain ids.

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
        content.sweep()
        used = _used_layers(connection)
        unused = [chain_id for chain_id in LayerStore(paths.layers).chain_ids() if chain_id not in used]
        if unused:
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


def prune_images(paths: Paths, accept: Callable[[ImageRecord, tuple[Reference, ...]], bool]) -> Removed:
    """Remove the images that no container was made of and that `accept` takes, told their names."""
    with open_state(paths, frees=True) as connection:
        with transaction(connection):
            used = {image_id for (image_id,) in connection.execute("SELECT image_id FROM container")}
            untagged: list[str] = []
            deleted: list[str] = []
            for image in list_images(connection):
                names = names_of(connection, image.id)
                if image.id not in used and accept(image, names):
                    untagged += [name.familiar for name in (*names, *digests_of(connection, image.id))]
                    deleted.append(image.id)
                    forget_image(connection, image.id)
        collected = collect_garbage(paths, connection) if deleted else ()
        return Removed(tuple(untagged), (*deleted, *collected))
