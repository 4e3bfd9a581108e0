"""The build cache: which layer a step gave, by the digest of all that it was made of.

A row names a layer and is no promise: whether layer and archive are there, whole, is looked up each time, so that a
store that lost some of them makes them again. An image that was loaded or pulled never has a row: what it claims to
have been made of is its own word (CVE-2024-24557).

Two builds of one step at the same time: `step_lock` has one wait for the other, and find what that one made.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.redaction import redact
from sandbox.state import connect_state
from sandbox.transactions import transaction
from storage.digests import parse_digest
from storage.locks import lock_file, unlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.paths import Paths
    from storage.content import ContentStore
    from storage.layers.store import LayerStore


class BuildLayer(NamedTuple):
    """A layer of a stage: its place in the store, and how manifest and config name it."""

    chain_id: str
    diff_id: str
    descriptor: dict[str, Any]
    #: when a build made it, RFC 3339
    created: str = ""


class StepCache:
    """Finds and remembers layers by key. As with `connect_state`, open only in a process that forks none which opens
    one too.
    """

    def __init__(self, paths: Paths, layers: LayerStore, content: ContentStore) -> None:
        self._layers = layers
        self._content = content
        self._connection = connect_state(paths)
        # when a step was last used may be lost with the power; a step made anew costs the disk far more than this
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._used: list[str] = []

    def close(self) -> None:
        """Note what was used, and close."""
        try:
            if self._used:
                now_ns = time.time_ns()
                with transaction(self._connection):
                    self._connection.executemany(
                        "UPDATE build_cache SET used_ns = ?, uses = uses + 1 WHERE key = ?",
                        [(now_ns, key) for key in self._used],
                    )
        finally:
            self._connection.close()

    def find(self, key: str) -> BuildLayer | None:
        """The layer a step of this key gave before, where it is whole still."""
        row = self._connection.execute("SELECT layer FROM build_cache WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        found = BuildLayer(*json.loads(row[0]))
        # the archive as it lies: as it was made, or compressed where a cache was imported
        archive = parse_digest(found.descriptor["digest"])
        if not (self._layers.has(parse_digest(found.chain_id)) and self._content.has(archive)):
            return None
        self._used.append(key)
        return found

    def remember(self, key: str, layer: BuildLayer, description: str) -> None:
        """Let later builds find the layer by the step's key; `description` is what people know the step by, here and
        where a cache is exported to: credentials of URLs stay out.
        """
        now_ns = time.time_ns()
        self._connection.execute(
            "INSERT OR REPLACE INTO build_cache (key, layer, description, created_ns, used_ns, uses) "
            "VALUES (?, ?, ?, ?, ?, 1)",
            (key, json.dumps(layer), redact(description), now_ns, now_ns),
        )

    def note_mount(self, name: str, description: str) -> None:
        """Note that a cache mount is used; made where it has no record yet."""
        now_ns = time.time_ns()
        self._connection.execute(
            "INSERT INTO build_mount VALUES (?1, ?2, ?3, ?3, 1) "
            "ON CONFLICT (name) DO UPDATE SET used_ns = ?3, uses = uses + 1",
            (name, description, now_ns),
        )


@contextmanager
def step_lock(paths: Paths, key: str) -> Iterator[None]:
    """Hold the right to make the step of this key; waits for whoever makes it."""
    directory = f"{paths.data_root}/locks"
    os.makedirs(directory, mode=0o700, exist_ok=True)
    path = f"{directory}/step-{key}"
    fd = lock_file(path)
    try:
        yield
    finally:
        # removed under the lock: who waited for it sees that, and makes a new one
        os.unlink(path)
        unlock(fd)
