"""What the build cache takes on disk, and its removal: `builder du` and `builder prune`.

Records go first, in one transaction; layers, archives and the directories of cache mounts follow, as far as nothing
else needs them. Nothing is removed while an image is being made.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Literal, NamedTuple

from sandbox.builder.cache.url_cache import list_kept, remove_kept
from sandbox.errors import ConflictError
from sandbox.events import tell_pruned
from sandbox.image.recording import content_store, images_lock
from sandbox.image.removal import collect_garbage
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.state import open_state
from sandbox.transactions import transaction
from storage.digests import parse_digest
from storage.errors import StorageError
from storage.layers.store import LayerStore
from storage.trees.tree import remove_tree
from storage.trees.walk import Walk

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from sandbox.paths import Paths

RecordKind = Literal["regular", "exec.cachemount", "source.http"]


class CacheRecord(NamedTuple):
    """One step, cache mount or file from the web. `size_bytes` is what its own files take, unpacked and as an archive;
    `shared` that an image or container needs the layer too, so that removing the record frees nothing.
    """

    id: str
    kind: RecordKind
    description: str
    size_bytes: int
    created_ns: int
    used_ns: int
    uses: int
    shared: bool
    chain_id: str = ""

    @property
    def place(self) -> str:
        """What lies on disk: several steps may have given one layer."""
        return self.chain_id or self.id


class Pruned(NamedTuple):
    """What went, the longest unused first, and the bytes that freed."""

    records: list[CacheRecord]
    freed_bytes: int


class PruneRequest(NamedTuple):
    """What to remove: everything that fits, then the longest unused until at most `keep_bytes` are left.

    `all` takes records of shared layers too; `before_ns` spares what was used later; `ids` are beginnings of ids.
    """

    all: bool = False
    before_ns: int | None = None
    ids: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    keep_bytes: int | None = None


def list_cache(paths: Paths) -> list[CacheRecord]:
    """Every record, the last used first."""
    # closed before a fork
    with open_state(paths) as connection:
        records = _list_steps(paths, connection)
        mounts = connection.execute("SELECT name, description, created_ns, used_ns, uses FROM build_mount").fetchall()
    if mounts:
        sizes = call_in_user_namespace(_measure, _mounts_directory(paths), [row[0] for row in mounts])
        assert isinstance(sizes, list)
        for (name, description, *rest), size in zip(mounts, sizes, strict=True):
            created_ns, used_ns, uses = rest
            kind: RecordKind = "exec.cachemount"
            records.append(CacheRecord(name, kind, description, size, created_ns, used_ns, uses, shared=False))
    for body in list_kept(paths):
        at = body.used_ns
        records.append(CacheRecord(body.name, "source.http", body.url, body.size_bytes, at, at, 1, shared=False))
    return sorted(records, key=lambda record: (-record.used_ns, record.id))


def prune_cache(paths: Paths, request: PruneRequest) -> Pruned:
    """Remove, and say what went. Raises ConflictError while an image is being made."""
    with images_lock(paths, exclusive=True, wait=False) as held:
        if not held:
            raise ConflictError("an image is being built or pulled", mend="try again when that has ended")
        records = list_cache(paths)
        chosen = choose(records, request)
        with open_state(paths, frees=True) as connection, transaction(connection):
            for record in chosen:
                if record.kind == "source.http":
                    remove_kept(paths, record.id)
                    continue
                table, column = ("build_cache", "key") if record.kind == "regular" else ("build_mount", "name")
                connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (record.id,))
        mounts = [record.id for record in chosen if record.kind == "exec.cachemount"]
        if mounts:
            call_in_user_namespace(_remove_mounts, _mounts_directory(paths), mounts)
        if request.all:
            shutil.rmtree(f"{paths.cache}/contexts", ignore_errors=True)
    if chosen:
        # takes the lock itself; where somebody has begun to make an image, the next collection does it
        with open_state(paths, frees=True) as connection:
            collect_garbage(paths, connection)
    freed = freed_bytes(chosen, records)
    tell_pruned(paths, "builder", freed)
    return Pruned(chosen, freed)


def choose(records: Sequence[CacheRecord], request: PruneRequest) -> list[CacheRecord]:
    """What a request takes, the longest unused first."""
    # records of one layer go together, or nothing is freed
    last: dict[str, int] = {}
    for record in records:
        last[record.place] = max(last.get(record.place, 0), record.used_ns)
    found = [
        record
        for record in sorted(records, key=lambda record: (last[record.place], record.place, record.id))
        if (request.all or not record.shared)
        and (request.before_ns is None or record.used_ns < request.before_ns)
        and (not request.ids or any(record.id.startswith(one) for one in request.ids))
        and (not request.kinds or record.kind in request.kinds)
    ]
    if request.keep_bytes is None:
        return found
    left = freed_bytes(records, records)
    chosen: list[CacheRecord] = []
    for record in found:
        if left <= request.keep_bytes and not (chosen and chosen[-1].place == record.place):
            break
        if not record.shared and not (chosen and chosen[-1].place == record.place):
            left -= record.size_bytes
        chosen.append(record)
    return chosen


def freed_bytes(removed: Sequence[CacheRecord], records: Sequence[CacheRecord]) -> int:
    """What removing some of all records frees: a layer that several steps gave counts once, and only where all of them
    go; one that an image needs not at all.
    """
    ids = {record.id for record in removed}
    kept = {record.place for record in records if record.id not in ids}
    own = {record.place: record.size_bytes for record in removed if not record.shared and record.place not in kept}
    return sum(own.values())


def _list_steps(paths: Paths, connection: sqlite3.Connection) -> list[CacheRecord]:
    store, content = LayerStore(paths.layers), content_store(paths)
    used: set[str] = set()
    for (layers,) in connection.execute("SELECT layers FROM image"):
        used.update(json.loads(layers))
    found = []
    for key, layer, description, created_ns, used_ns, uses in connection.execute(
        "SELECT key, layer, description, created_ns, used_ns, uses FROM build_cache"
    ):
        chain_id, _diff_id, descriptor, *_rest = json.loads(layer)
        size = 0
        try:
            described = store.describe(parse_digest(chain_id)).get("size_bytes")
            size = (described if isinstance(described, int) else 0) + content.size(parse_digest(descriptor["digest"]))
        except StorageError:
            pass  # not whole any more: it takes nothing
        kind: RecordKind = "regular"
        found.append(
            CacheRecord(key, kind, description, size, created_ns, used_ns, uses, chain_id in used, str(chain_id))
        )
    return found


def _mounts_directory(paths: Paths) -> str:
    return f"{paths.data_root}/build-mounts"


def _measure(directory: str, names: list[str]) -> list[int]:
    """As root of the namespace, which may look everywhere: the bytes of the files in each, 0 for a missing one."""
    return [_tree_bytes(f"{directory}/{name}") for name in names]


def _tree_bytes(path: str) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return sum(step.status.st_size for step in Walk(fd) if not step.leaving)
    finally:
        os.close(fd)


def _remove_mounts(directory: str, names: list[str]) -> None:
    for name in names:
        remove_tree(f"{directory}/{name}")
        if os.path.lexists(f"{directory}/{name}.lock"):
            os.unlink(f"{directory}/{name}.lock")
