"""Blobs: each must hash to its name. One that does not is removed, or made again from the layer whose archive it is."""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

from sandbox.image.copies import document_of
from sandbox.record_copies import copy_path
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.upkeep.adoption import put_back
from storage.content import ContentStore
from storage.digests import Digest, parse_digest
from storage.errors import StorageError
from storage.layers.store import LayerStore
from storage.owner_book import owner_book_beside
from storage.tar.diff import write_layer
from storage.true_owners import BookOwners

if TYPE_CHECKING:
    from sandbox.upkeep.check_context import CheckContext
    from sandbox.upkeep.findings import Finding

_READ_SIZE = 1 << 20


class BlobCheck:
    """`whole` are the blobs to be believed; after `mend_blobs`, also those that are, or would be, made again."""

    def __init__(self, context: CheckContext) -> None:
        self._context = context
        self.count = 0
        self.whole: set[str] = set()
        self.damaged: list[Digest] = []

    def read_all(self) -> None:
        """Hash every blob; with `quick`, believe them."""
        digests = self._context.content.digests()
        self.count = len(digests)
        for digest in digests:
            if self._context.options.quick or _hashes_to_its_name(self._context.content, digest):
                self.whole.add(digest)
            elif self._context.content.has(digest):
                self.damaged.append(digest)

    def make_again(self, finding: Finding, digest: str, layer: Digest) -> bool:
        """Have `digest` written from the layer it is the archive of; whether it is, or would be."""
        paths = self._context.paths
        blobs_root = f"{paths.data_root}/blobs"
        if not call_in_user_namespace(_gives, paths.layers, layer, digest, blobs_root):
            return False
        done = self._context.report(
            finding, lambda: call_in_user_namespace(write_archive, paths.layers, layer, digest, blobs_root)
        )
        if done:
            self.whole.add(digest)
        return done

    def put_back(self, finding: Finding, image_id: str, digest: str) -> bool:
        """Have a document of the image taken from the copy of its record; whether it is, or would be."""
        path = copy_path(self._context.paths.data_root, "image", image_id)
        if document_of(path, digest) is None:
            return False
        done = self._context.report(finding, partial(put_back, self._context.content, path, digest))
        if done:
            self.whole.add(digest)
        return done


def _hashes_to_its_name(content: ContentStore, digest: Digest) -> bool:
    sha256 = hashlib.sha256()
    try:
        with content.open(digest) as blob:
            while data := blob.read(_READ_SIZE):
                sha256.update(data)
    except (StorageError, OSError):
        return False
    return digest == "sha256:" + sha256.hexdigest()


def _gives(layers_root: str, chain_id: str, digest: str, blobs_root: str) -> bool:
    """Whether the layer's archive, as a build writes it, has this digest."""
    with tempfile.TemporaryFile(dir=f"{blobs_root}/partial") as archive:
        try:
            return _archive(layers_root, chain_id, archive.fileno()) == digest
        except StorageError:
            return False


def write_archive(layers_root: str, chain_id: str, digest: str, blobs_root: str) -> None:
    """Write the layer's archive in the place of the blob. StorageError where it does not give `digest`."""
    content = ContentStore(blobs_root)
    with tempfile.TemporaryFile(dir=f"{blobs_root}/partial") as archive:
        if _archive(layers_root, chain_id, archive.fileno()) != digest:
            raise StorageError(f"layer {chain_id} is not what blob {digest} was")
        content.delete(parse_digest(digest))
        with content.writer(parse_digest(digest), os.fstat(archive.fileno()).st_size) as writer:
            writer.restart()
            archive.seek(0)
            while data := archive.read(_READ_SIZE):
                writer.append(data)
            writer.commit()


def _archive(layers_root: str, chain_id: str, out_fd: int) -> str:
    tree = LayerStore(layers_root).path(parse_digest(chain_id))
    tree_fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with closing(owner_book_beside(tree)) as book:
            return write_layer(tree_fd, out_fd, BookOwners(book)).diff_id
    finally:
        os.close(tree_fd)
