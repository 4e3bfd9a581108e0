"""Images and the build cache: each row against the documents, blobs and layers it names."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from sandbox.image.copies import document_of
from sandbox.image.go_json import load_document
from sandbox.image.removal import forget_image
from sandbox.record_copies import copy_path
from sandbox.transactions import transaction
from sandbox.upkeep.findings import Finding
from storage.digests import chain_ids
from storage.errors import StorageError

if TYPE_CHECKING:
    from sandbox.upkeep.blobs import BlobCheck
    from sandbox.upkeep.check_context import CheckContext
    from sandbox.upkeep.layers import LayerCheck
    from sandbox.upkeep.records import CacheClaim, ImageClaim, Records
    from storage.digests import Digest


class ImageCheck:
    """After blobs and layers are known."""

    def __init__(self, context: CheckContext, blobs: BlobCheck, layers: LayerCheck) -> None:
        self._context = context
        self._blobs = blobs
        self._layers = layers

    def check_all(self, records: Records) -> None:
        for image in records.images:
            self._check_image(image)
        for cached in records.cache:
            self._check_cached(cached)

    def _check_image(self, image: ImageClaim) -> None:
        if not self._layers.held.isdisjoint(image.chain_ids):
            return  # told with the layer: what becomes of it depends on what becomes of the container
        if image.chains_differ and self._context.report(
            Finding("image", image.shown, image.problem), lambda: self._restore_chain(image)
        ):
            return
        problem = image.problem or self._documents_problem(image) or self._layers_problem(image)
        if problem:
            finding = Finding("image", image.shown, problem, _get_again(image))
            # what no registry has is never forgotten for a fault: what is left of it may be all there is
            self._context.report(finding, (lambda: self._forget(image)) if image.in_registry else None)
            return
        self._check_archives(image)

    def _documents_problem(self, image: ImageClaim) -> str:
        for digest, what in ((image.manifest_digest, "manifest"), (image.id, "config")):
            finding = Finding("blob", digest, f"it is missing, and it is the {what} of {image.shown}")
            if digest not in self._blobs.whole and not self._blobs.put_back(finding, image.id, digest):
                return f"its {what} {digest} is missing or damaged"
        try:
            manifest, config = self._document(image, image.manifest_digest), self._document(image, image.id)
            named = (manifest["config"]["digest"], len(manifest["layers"]))
            diff_ids = tuple(config["rootfs"].get("diff_ids") or ())
        except (StorageError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"its documents cannot be read ({error})"
        if named != (image.id, len(image.chain_ids)) or diff_ids != image.diff_ids:
            return "its manifest and its config are not those of the record"
        return ""

    def _document(self, image: ImageClaim, digest: Digest) -> dict[str, Any]:
        """A document of the image; where it would be put back by a repair, as the copy has it."""
        path = copy_path(self._context.paths.data_root, "image", image.id)
        if not self._context.options.repair and (data := document_of(path, digest)) is not None:
            return cast("dict[str, Any]", load_document(data))
        return cast("dict[str, Any]", load_document(self._context.content.read(digest)))

    def _layers_problem(self, image: ImageClaim) -> str:
        for chain_id in image.chain_ids:
            if chain_id in self._layers.whole:
                continue
            if self._context.layers.has(chain_id):
                return f"its layer {chain_id} is damaged"
            finding = Finding("layer", chain_id, f"it is missing, and {image.shown} needs it")
            if not self._layers.restore(finding, chain_id):
                return f"its layer {chain_id} is missing"
        return ""

    def _check_archives(self, image: ImageClaim) -> None:
        """An image without a layer's archive runs, but cannot be saved, pushed or checked."""
        manifest = self._document(image, image.manifest_digest)
        for position, layer in enumerate(manifest["layers"]):
            digest = str(layer["digest"])
            if digest in self._blobs.whole:
                continue
            finding = Finding(
                "image", image.shown, f"the archive {digest} of its layer {position + 1} is missing or damaged",
                _get_again(image),
            )  # fmt: skip
            source = image.chain_ids[position] if digest == image.diff_ids[position] else None
            if source is None or not self._blobs.make_again(finding, digest, source):
                self._context.report(finding)

    def _check_cached(self, cached: CacheClaim) -> None:
        """A step whose layer has gone is made anew, which is no fault; one that cannot be read helps nobody."""
        if not cached.chain_id:
            self._context.report(
                Finding("build cache", cached.key, "its row cannot be read"), lambda: self._drop_step(cached.key)
            )
        elif not self._is_there(cached):
            self._context.report(
                Finding(
                    "build cache", cached.key, "its layer or the archive of it is not there any more", leftover=True
                ),
                lambda: self._drop_step(cached.key),
            )

    def _is_there(self, cached: CacheClaim) -> bool:
        return cached.chain_id in self._layers.whole and cached.blob in self._blobs.whole

    def _drop_step(self, key: str) -> None:
        self._context.connection.execute("DELETE FROM build_cache WHERE key = ?", (key,))

    def _restore_chain(self, image: ImageClaim) -> None:
        chain = json.dumps(chain_ids(image.diff_ids))
        self._context.connection.execute("UPDATE image SET layers = ? WHERE id = ?", (chain, image.id))

    def _forget(self, image: ImageClaim) -> None:
        with transaction(self._context.connection):
            forget_image(self._context.connection, image.id)


def _get_again(image: ImageClaim) -> str:
    pulls = " && ".join(f"sandbox pull {name}" for name in image.names)
    if image.in_registry and pulls:
        return pulls
    removal = f"sandbox rmi {image.names[0] if image.names else image.id[7:19]}"
    return f"build or load it again; {removal} removes it"
