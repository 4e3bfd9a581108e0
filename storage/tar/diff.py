"""A layer's archive from what changed: an overlay's upper directory, never the merged tree (image-spec layer.md
§Changeset).

Whiteouts become `.wh.NAME` entries, an opaque directory gets `.wh..wh..opq` before its content. Names are sorted and
nothing of this machine is written, so the same tree gives the same bytes. The root directory has no entry: an archive
that holds none leaves the root of the layers below as it is, which is what Docker and BuildKit write too.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import TYPE_CHECKING, NamedTuple, Protocol

from storage.digests import Digest
from storage.errors import StorageError, os_failure
from storage.tar.writer import TarWriter
from storage.trees.walk import Walk
from storage.whiteouts import OPAQUE_NAME, PREFIX, is_opaque, is_opaque_at, is_whiteout

if TYPE_CHECKING:
    from storage.owner_book import TrueOwner


class LayerOwners(Protocol):
    """Knows whose the entries are where the file system says 0: `TrueOwners` does."""

    def find(self, path: bytes, status: os.stat_result) -> TrueOwner | None: ...


class LayerDiff(NamedTuple):
    """The archive that was written: its digest, which is the diff id, and its entries' sizes together."""

    diff_id: Digest
    archive_bytes: int
    size_bytes: int
    entries: int
    notes: tuple[str, ...]


def write_layer(upper_fd: int, out_fd: int, owners: LayerOwners | None = None) -> LayerDiff:
    """Write the layer that `upper_fd` is to the empty file `out_fd`, with the owners that `owners` knows.

    StorageError where it cannot be read or written, or where the tree holds a name that an archive would take for a
    whiteout.
    """
    sha256 = hashlib.sha256()
    writer = TarWriter(out_fd, sha256.update)
    size = entries = 0
    path: list[bytes] = []
    try:
        if is_opaque(upper_fd):
            writer.add_empty(OPAQUE_NAME)
        for step in Walk(upper_fd):
            if step.leaving:
                path.pop()
                continue
            name = b"/".join((*path, step.name))
            entries += 1
            if is_whiteout(step.dir_fd, step.name, step.status):
                writer.add_empty(b"/".join((*path, PREFIX + step.name)))
                continue
            if step.name.startswith(PREFIX):
                raise StorageError(
                    f"cannot keep {os.fsdecode(name)!r} in a layer",
                    cause="names that begin with .wh. mean removed files there (image-spec layer.md)",
                    mend="remove or rename it in the same step",
                )
            writer.add_entry(step, name, owners.find(name, step.status) if owners is not None else None)
            if stat.S_ISDIR(step.status.st_mode):
                path.append(step.name)
                if is_opaque_at(step.dir_fd, step.name):
                    writer.add_empty(b"/".join((*path, OPAQUE_NAME)))
            elif stat.S_ISREG(step.status.st_mode):
                size += step.status.st_size
        writer.finish()
    except OSError as error:
        raise os_failure("cannot write the layer", error) from error
    diff_id = Digest("sha256:" + sha256.hexdigest())
    return LayerDiff(diff_id, writer.size_bytes, size, entries, tuple(writer.notes))
