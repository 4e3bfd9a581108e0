"""From verified documents to a row in the database; and the locks that keep removal away from what is being made."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from sandbox.errors import ImageError
from sandbox.events import emit
from sandbox.image.copies import keep_image_copies
from sandbox.image.platforms import Platform, host_platform
from sandbox.image.store import ImageRecord, find_image, record_image
from sandbox.image.stored_layer import Layer
from sandbox.state import open_state, require_state
from sandbox.transactions import transaction
from storage.content import ContentStore
from storage.digests import chain_ids
from storage.locks import lock_file
from storage.private_directories import make_private_directory

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from sandbox.events import Event
    from sandbox.image.documents import ImageConfig
    from sandbox.image.references import Reference
    from sandbox.paths import Paths
    from storage.digests import Digest
    from storage.layers.store import LayerStore


def content_store(paths: Paths) -> ContentStore:
    """The store of blobs as received."""
    # before anything is stored: a full store without a database is one that lost it
    require_state(paths)
    return ContentStore(f"{paths.data_root}/blobs")


def plan_layers(blobs: Sequence[Digest], config: ImageConfig, content: ContentStore, what: str) -> tuple[Layer, ...]:
    """Each blob with the diff id and chain id the config gives it. Raises ImageError where their numbers differ."""
    diff_ids = config.diff_ids
    if len(diff_ids) != len(blobs):
        raise ImageError(f"{what}: {len(blobs)} layers in the manifest, {len(diff_ids)} in the config")
    chain = chain_ids(diff_ids)
    return tuple(
        Layer(blob, content.path(blob), diff_id, chain_id)
        for blob, diff_id, chain_id in zip(blobs, diff_ids, chain, strict=True)
    )


def image_platform(config: ImageConfig) -> Platform:
    """What the image was built for, in the usual spelling; what it does not say is as on this machine."""
    host = host_platform()
    return Platform(config.os or host.os, config.architecture or host.architecture, config.variant).normalised()


def make_record(
    image_id: str,
    manifest_digest: str,
    config: ImageConfig,
    config_data: bytes,
    layers: Sequence[Layer],
    store: LayerStore,
) -> ImageRecord:
    """The row of an image whose layers are all in the store."""
    # msgspec comes with it, which nobody else here needs
    from sandbox.image.documents import config_document

    size = 0
    for layer in layers:
        described = store.describe(layer.chain_id).get("size_bytes")
        size += described if isinstance(described, int) else 0
    return ImageRecord(
        image_id,
        "",
        tuple(layer.chain_id for layer in layers),
        config_document(config_data, image_id),
        str(image_platform(config)),
        manifest_digest,
        parse_time_ns(config.created),
        time.time_ns(),
        size,
    )


def save_record(
    paths: Paths,
    record: ImageRecord,
    names: Sequence[Reference],
    digests: Sequence[tuple[str, str]],
    told: Sequence[Event],
    *,
    made: Event | None = None,
) -> bool:
    """Write the image, its names and the events that this is in one transaction; whether that changed what a name or
    digest points to. `made` is told first, of an image that was not there.
    """
    with open_state(paths) as connection:
        with transaction(connection):
            asked = [*map(str, names), *(f"{repository}@{digest}" for repository, digest in digests)]
            before = [find_image(connection, text) for text in asked]
            is_new = connection.execute("SELECT 1 FROM image WHERE id = ?", (record.id,)).fetchone() is None
            record_image(connection, record, names, digests)
            for event in told if made is None or not is_new else (made, *told):
                emit(connection, event)
        keep_image_copies(connection)
        return any(found is None or found.id != record.id for found in before)


def parse_time_ns(text: str | None) -> int:
    """An RFC 3339 time in nanoseconds since 1970; 0 for none, and for one that cannot be read."""
    # imported here: this module is loaded by whoever records an image, few records carry a time
    from datetime import datetime

    if not text:
        return 0
    whole, dot, rest = text.strip().upper().partition(".")
    digits = "".join(_leading_digits(rest))
    zone = rest[len(digits) :] if dot else ""
    try:
        moment = datetime.fromisoformat(whole + zone)
        if moment.tzinfo is None:
            return 0
        time_ns = int(moment.timestamp()) * 10**9 + int(digits[:9].ljust(9, "0") or "0")
    except (ValueError, OverflowError):
        return 0
    # Go's zero time, the year 1, says nothing; and neither it nor the year 9999 fits the database's 64 bits
    return time_ns if 0 <= time_ns < 2**63 else 0


def _leading_digits(text: str) -> Iterator[str]:
    for letter in text:
        if not letter.isdecimal():
            return
        yield letter


@contextmanager
def images_lock(paths: Paths, *, exclusive: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold images against removal (shared), or remove (exclusive); false where it is taken and `wait` is false.

    Whoever makes an image holds it shared from the first look at what is there until the row is written, so that
    nothing it found is collected in between.
    """
    directory = f"{paths.data_root}/locks"
    make_private_directory(directory)
    fd = os.open(f"{directory}/images", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(fd, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(fd)


@asynccontextmanager
async def base_lock(paths: Paths, layers: Sequence[Layer]) -> AsyncIterator[None]:
    """Hold the lock under which the layers of an image are unpacked.

    Images that share any layer share the lowest. One lock for it means no two processes unpack the same layer, and
    none waits for a layer that the other will only finish after one of ours.
    """
    import trio  # this module is loaded by `rmi` too

    path = f"{paths.data_root}/locks/{layers[0].chain_id.removeprefix('sha256:')}"
    # a thread that waits for another process is left behind when we are cancelled; we end then, and it with us
    fd = await trio.to_thread.run_sync(lock_file, path, abandon_on_cancel=True)
    try:
        yield
    finally:
        # removed under the lock: who waited for it sees that, and makes a new one
        os.unlink(path)
        os.close(fd)
