"""Whether an unpacked layer is what its archive says, and made again where it is not.

The archive decides: it is unpacked a second time, into the stage, and the two trees are compared. Where there is no
archive, what was written down of the layer decides as far as it goes. In the namespace, as all that unpacks.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, NamedTuple

from storage.digests import Digest, parse_digest
from storage.errors import StorageError, os_failure
from storage.layers.undescribed_directories import inherit_directories
from storage.layers.unpack import UnpackResult, unpack_layer
from storage.owner_book import OwnerBook, find_other_owner, owner_book_of
from storage.trees.compare import find_difference

if TYPE_CHECKING:
    from storage.layers.store import LayerStore

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class LayerClaim(NamedTuple):
    """A layer as records have it: `blob_path` is its archive, "" where there is none; `lowers` the chain ids below,
    topmost first.
    """

    chain_id: Digest
    diff_id: str = ""
    blob_path: str = ""
    lowers: tuple[Digest, ...] = ()


def check_layer(store: LayerStore, claim: LayerClaim, *, quick: bool = False) -> str:
    """What is wrong with the layer, or "". With `quick` its archive is not asked.

    StorageError where that cannot be found out, such as on a full disk.
    """
    try:
        described = store.describe(claim.chain_id)
        diff_id = parse_digest(str(described["diff_id"]))
    except (StorageError, KeyError):
        return "its description (layer.json) is missing or damaged"
    if claim.diff_id and diff_id != claim.diff_id:
        return f"it is described as {diff_id}, the image says {claim.diff_id}"
    try:
        tree_fd = os.open(store.path(claim.chain_id), _DIRECTORY)
    except OSError as error:
        return f"its tree cannot be opened ({error.strerror})"
    try:
        if quick or not claim.blob_path:
            return ""
        return _compare(store, claim, tree_fd)
    finally:
        os.close(tree_fd)


def restore_layer(store: LayerStore, claim: LayerClaim) -> None:
    """Put the layer that its archive gives in the place of what is there. No container may be using it.

    StorageError where the archive does not give it; the layer is gone then.
    """
    store.remove(claim.chain_id)
    with store.stage(claim.chain_id) as stage:
        if stage.done:
            return
        with closing(stage.owners()) as book:
            result = _unpack(store, claim, stage.fd, book)
        if claim.diff_id and result.diff_id != claim.diff_id:
            raise StorageError(
                f"cannot restore layer {claim.chain_id}", cause=f"its archive unpacks to {result.diff_id}"
            )
        stage.commit({
            "diff_id": result.diff_id, "size_bytes": result.size_bytes, "entries": result.entries,
            "notes": result.notes,
        })  # fmt: skip


def _compare(store: LayerStore, claim: LayerClaim, tree_fd: int) -> str:
    with store.scratch(claim.chain_id) as scratch_fd, closing(OwnerBook("")) as book:
        result = _unpack(store, claim, scratch_fd, book)
        try:
            return find_difference(scratch_fd, tree_fd, result.implied) or _compare_owners(book, tree_fd)
        except OSError as error:
            return f"its tree cannot be read ({error.strerror})"


def _compare_owners(expected: OwnerBook, tree_fd: int) -> str:
    try:
        with closing(owner_book_of(tree_fd)) as found:
            path = find_other_owner(expected, found)
    except StorageError as error:
        return f"its owners outside the map cannot be read ({error.cause})"
    return "" if path is None else f"/{os.fsdecode(path)[:200]} has another owner outside the map"


def _unpack(store: LayerStore, claim: LayerClaim, root_fd: int, book: OwnerBook) -> UnpackResult:
    try:
        with ExitStack() as stack:
            lowers = []
            for lower in claim.lowers:
                lowers.append(os.open(store.path(lower), _DIRECTORY))
                stack.callback(os.close, lowers[-1])
            with open(claim.blob_path, "rb", buffering=0) as blob:
                result = unpack_layer(blob, root_fd, lower_roots=lowers, book=book)
            inherit_directories(root_fd, result.implied, lowers, book)
    except OSError as error:
        raise os_failure(f"cannot unpack layer {claim.chain_id} to compare it", error) from error
    return result
