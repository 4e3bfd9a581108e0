"""`sandbox system check`: all that the store holds against all that is recorded, and mended where that is asked.

Without `--repair` images are held against removal only, so pulls, builds and runs go on meanwhile; what they are making
is known by its locks and left alone. With it nobody makes an image until the check has ended. The order is that of
trust: blobs prove themselves by their digests, layers are compared with blobs, records with both.

A repair removes what is damaged or was left half-made, and makes again what the rest of the store gives: a layer from
its archive, the archive of a built layer from the layer, the database from the copies of its records. It never touches
what is whole, nor what a container runs on; what a person made and no registry has goes only where it is named.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from sandbox.image.go_json import load_document
from sandbox.image.recording import images_lock
from sandbox.missing_copies import write_missing_copies
from sandbox.record_copies import find_unrecorded
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.state import connect_state
from sandbox.upkeep.adoption import adopt, adopt_name, lost_names, shown_name, unrecorded
from sandbox.upkeep.blobs import BlobCheck
from sandbox.upkeep.check_context import CheckContext, Options
from sandbox.upkeep.findings import Finding, Report
from sandbox.upkeep.forwarders import check_forwarders
from sandbox.upkeep.images import ImageCheck
from sandbox.upkeep.keepers import check_keeper
from sandbox.upkeep.layers import LayerCheck, remove_layer
from sandbox.upkeep.leftovers import check_cache_mounts, find_leftovers
from sandbox.upkeep.mending import mend_blobs
from sandbox.upkeep.objects import check_objects
from sandbox.upkeep.places import PlaceCheck
from sandbox.upkeep.processes import check_processes
from sandbox.upkeep.rebuild import find_loss, rebuild_database
from sandbox.upkeep.records import Records, read_records
from storage.content import ContentStore
from storage.errors import StorageError
from storage.layers.store import LayerStore

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from sandbox.paths import Paths
    from sandbox.upkeep.findings import Kind


_KINDS: dict[str, Kind] = {
    "image": "image", "volume": "volume", "network": "network", "container": "container", "secret": "secret",
    "config": "config",
}  # fmt: skip
_COUNTED = ("images", "containers", "volumes", "build cache", "blobs", "layers")


def check_store(paths: Paths, options: Options, note: Callable[[str], None] = lambda text: None) -> Report:
    """Look at everything; `note` is told what is waited for. Raises SandboxError where that cannot be done."""
    loss = find_loss(paths)
    if loss and not options.repair:
        return Report((Finding("database", paths.database, loss),), dict.fromkeys(_COUNTED, 0), ())
    unused = None if options.repair else _look_for_unused(paths)
    with images_lock(paths, exclusive=options.repair, wait=not options.repair) as held:
        if held:
            return _check(paths, options, unused)
    note("waiting for what is being pulled, built or removed" if options.repair else "waiting for a removal to end")
    with images_lock(paths, exclusive=options.repair):
        return _check(paths, options, unused)


def _look_for_unused(paths: Paths) -> list[Finding] | None:
    """The layers and blobs that nothing refers to; None while somebody is making an image, who may want them."""
    with images_lock(paths, exclusive=True, wait=False) as held:
        if not held:
            return None
        with _open(paths) as connection:
            if find_unrecorded(connection, paths.data_root):
                return []
            context = _context(paths, connection, Options())
            records = read_records(connection, paths)
            find_unused(context, records)
            return context.findings


def _context(paths: Paths, connection: sqlite3.Connection, options: Options) -> CheckContext:
    return CheckContext(
        paths, connection, ContentStore(f"{paths.data_root}/blobs"), LayerStore(paths.layers), options, [], []
    )


@contextmanager
def _open(paths: Paths) -> Iterator[sqlite3.Connection]:
    """Also where the store holds what the database does not know: that is looked for here."""
    connection = connect_state(paths, checked=False)
    try:
        yield connection
    finally:
        connection.close()


def _check(paths: Paths, options: Options, unused: list[Finding] | None) -> Report:
    found = _rebuild(paths) if options.repair else []
    with _open(paths) as connection:
        context = _context(paths, connection, options)
        context.findings.extend(found)
        adopted = _adopt_unrecorded(context)
        incomplete = bool(found) or bool(adopted)
        # what runs has its record before the records are read: those that are stale are mended then
        if check_processes(context) or adopted:
            _adopt_names(context)
        check_keeper(context)
        check_forwarders(context)
        if options.repair:
            write_missing_copies(connection, paths)
        places = PlaceCheck(context)
        records = read_records(connection, paths)
        blobs = BlobCheck(context)
        blobs.read_all()
        layers = LayerCheck(context, records, blobs)
        layers.compare_all()
        mend_blobs(context, blobs, layers, records)
        ImageCheck(context, blobs, layers).check_all(records)
        places.check_all(records, layers)
        check_objects(context)
        find_leftovers(context)
        check_cache_mounts(context)
        if incomplete:
            # what seems unused may be what the records that were lost would name
            context.notes.append(
                "unused layers and blobs were not looked for: the database did not know all of the store"
            )
        elif options.repair:
            find_unused(context, read_records(connection, paths))
        elif unused is None:
            context.notes.append("unused layers and blobs were not looked for: an image is being made right now")
        else:
            context.findings.extend(unused)
        counts = (
            len(records.images), len(records.containers), len(records.volumes), len(records.cache), blobs.count,
            layers.count,
        )  # fmt: skip
        return Report(tuple(context.findings), dict(zip(_COUNTED, counts, strict=True)), tuple(context.notes))


def _rebuild(paths: Paths) -> list[Finding]:
    """The finding, where the database was lost or damaged, and has been made again."""
    loss = find_loss(paths)
    if not loss:
        return []
    kept = rebuild_database(paths)
    mend = f"it was made again from the store; the old one is {kept}" if kept else "it was made again from the store"
    return [Finding("database", paths.database, f"{loss}; {mend}", repaired=True)]


def _adopt_unrecorded(context: CheckContext) -> list[tuple[str, str]]:
    """Take back what only the store knows of, or tell of it; what that was."""
    found = list(unrecorded(context.connection, context.paths))
    for table, name in found:
        kind = _KINDS[table]
        context.report(
            Finding(
                kind, shown_name(context.paths, table, name), "it is in the store, and the database does not know it"
            ),
            partial(adopt, context.connection, context.paths, context.content, table, name),
        )
    return found


def _adopt_names(context: CheckContext) -> None:
    """Give images the names back that only the store knows: the database is older than they are."""
    for image_id, name in list(lost_names(context.connection, context.paths)):
        context.report(
            Finding("image", name.familiar, "the database does not know this name of it"),
            partial(adopt_name, context.connection, image_id, name),
        )


def find_unused(context: CheckContext, records: Records) -> None:
    """Layers and blobs that no record refers to: a pull or a build that was killed, which may be taken up again."""
    used = records.used_layers()
    for chain_id in context.layers.chain_ids():
        if chain_id not in used:
            context.report(
                Finding("layer", chain_id, "nothing refers to it", leftover=True),
                partial(call_in_user_namespace, remove_layer, context.paths.layers, chain_id),
            )
    needed = _needed_blobs(context, records)
    for digest in context.content.digests():
        if digest not in needed:
            context.report(
                Finding("blob", digest, "nothing refers to it", leftover=True),
                partial(context.content.delete, digest),
            )


def _needed_blobs(context: CheckContext, records: Records) -> set[str]:
    needed: set[str] = {claim.blob for claim in records.cache}
    diff_ids = {claim.diff_id for claim in records.cache}
    for image in records.images:
        needed |= {image.id, image.manifest_digest}
        diff_ids.update(image.diff_ids)
        try:
            manifest = load_document(context.content.read(image.manifest_digest))
            needed.update(layer["digest"] for layer in manifest["layers"])
        except (StorageError, ValueError, KeyError, TypeError):
            # the image itself is told as damaged; what it may have needed stays as long as that stands
            context.notes.append(f"unused blobs were not looked for: the manifest of {image.shown} is damaged")
            return {*needed, *context.content.digests()}
    compressed = context.connection.execute("SELECT diff_id, digest FROM layer_blob")
    return needed | {digest for diff_id, digest in compressed if diff_id in diff_ids}
