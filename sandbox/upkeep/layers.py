"""Layers: each is compared with its archive, and made again from it where they differ."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.image.go_json import load_document
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.upkeep.findings import Finding
from storage.digests import Digest, parse_digest
from storage.errors import StorageError
from storage.layers.layer_check import LayerClaim, check_layer, restore_layer
from storage.layers.store import LayerStore

if TYPE_CHECKING:
    from sandbox.upkeep.blobs import BlobCheck
    from sandbox.upkeep.check_context import CheckContext
    from sandbox.upkeep.records import Records


class LayerCheck:
    """`whole` are the layers to be believed, or that are, or would be, made again."""

    def __init__(self, context: CheckContext, records: Records, blobs: BlobCheck) -> None:
        self._context = context
        self._blobs = blobs
        self._claims = _claims(context, records)
        self._users: dict[str, list[str]] = {}
        self._running: dict[str, list[str]] = {}
        for container in records.containers:
            for chain_id in container.config.layers:
                self._users.setdefault(chain_id, []).append(container.name)
                if container.state.monitor_pid:
                    self._running.setdefault(chain_id, []).append(container.name)
        had = {chain_id for image in records.images if image.in_registry for chain_id in image.chain_ids}
        #: layers of images that no registry has
        self._made_here = {chain_id for image in records.images for chain_id in image.chain_ids} - had
        self.count = 0
        self.whole: set[str] = set()
        #: damaged, and left as they are because of a container
        self.held: set[str] = set()

    def compare_all(self) -> None:
        """Look at every layer, lowest first: one that is made again needs those below."""
        found = self._context.layers.chain_ids()
        self.count = len(found)
        claims = sorted((self.claim(chain_id) for chain_id in found), key=lambda claim: len(claim.lowers))
        if not claims:
            return
        answers = call_in_user_namespace(
            _check_layers, self._context.paths.layers, [list(claim) for claim in claims], self._context.options.quick
        )
        assert isinstance(answers, list)
        for claim, (problem, doubt) in zip(claims, answers, strict=True):
            if doubt:
                self._context.notes.append(f"layer {claim.chain_id} was not compared: {doubt}")
            if not problem or self._mend(claim, problem):
                self.whole.add(claim.chain_id)

    def claim(self, chain_id: Digest) -> LayerClaim:
        """What is recorded of the layer; its archive only where that is whole."""
        claim, blob = self._claims.get(chain_id, (LayerClaim(chain_id), ""))
        if blob in self._blobs.whole:
            claim = claim._replace(blob_path=self._context.content.path(parse_digest(blob)))
        return claim

    def whole_layer_of(self, diff_id: str) -> Digest | None:
        """A whole layer that was unpacked from an archive of this diff id."""
        for claim, _blob in self._claims.values():
            if claim.diff_id == diff_id and claim.chain_id in self.whole:
                return claim.chain_id
        return None

    def restore(self, finding: Finding, chain_id: Digest) -> bool:
        """Have the layer unpacked again; whether it is, or would be."""
        claim = self.claim(chain_id)
        if not claim.blob_path:
            return False
        done = self._context.report(
            finding, lambda: call_in_user_namespace(_restore, self._context.paths.layers, list(claim))
        )
        if done:
            self.whole.add(chain_id)
        return done

    def _mend(self, claim: LayerClaim, problem: str) -> bool:
        running = self._running.get(claim.chain_id)
        if running:
            self.held.add(claim.chain_id)
            mend = f"sandbox stop {' '.join(running)} && sandbox system check --repair"
            self._context.report(Finding("layer", claim.chain_id, f"{problem}; a container runs on it", mend))
            return False
        finding = Finding("layer", claim.chain_id, problem)
        if self.restore(finding, claim.chain_id):
            return True
        users = self._users.get(claim.chain_id)
        if users:
            # what the container wrote may be all that somebody has: it is not made unreadable
            self.held.add(claim.chain_id)
            mend = f"sandbox export {users[0]} saves what can be read; sandbox rm {' '.join(users)}"
            self._context.report(finding._replace(problem=f"{problem}, and a container is made of it", mend=mend))
            return False
        if claim.chain_id in self._made_here:
            # what is left of it may be all there is: the image is told, and goes when a person says so
            self._context.report(finding)
            return False
        self._context.report(
            finding, lambda: call_in_user_namespace(remove_layer, self._context.paths.layers, claim.chain_id)
        )
        return False


def remove_layer(layers_root: str, chain_id: str) -> None:
    """In the namespace."""
    LayerStore(layers_root).remove(parse_digest(chain_id))


def _claims(context: CheckContext, records: Records) -> dict[str, tuple[LayerClaim, str]]:
    """What images and builds say of each layer, and the blob that is its archive."""
    claims: dict[str, tuple[LayerClaim, str]] = {}
    for image in records.images:
        try:
            blobs = [layer["digest"] for layer in load_document(context.content.read(image.manifest_digest))["layers"]]
        except (StorageError, ValueError, KeyError, TypeError):
            blobs = []
        blobs += [""] * (len(image.chain_ids) - len(blobs))
        for position, (chain_id, diff_id, blob) in enumerate(zip(image.chain_ids, image.diff_ids, blobs, strict=False)):
            claim = LayerClaim(chain_id, diff_id, "", tuple(reversed(image.chain_ids[:position])))
            if chain_id not in claims or blob:
                claims[chain_id] = (claim, blob)
    for cached in records.cache:
        # what lies below is not recorded, and not needed: an archive that a build wrote describes every directory
        if cached.chain_id and cached.chain_id not in claims:
            claims[cached.chain_id] = (LayerClaim(Digest(cached.chain_id), cached.diff_id), cached.blob)
    return claims


def _check_layers(layers_root: str, claims: list[list[object]], quick: bool) -> list[list[str]]:
    """In the namespace: for each claim what is wrong, and why that could not be found out."""
    store = LayerStore(layers_root)
    answers = []
    for claim in map(_claim, claims):
        try:
            answers.append([check_layer(store, claim, quick=quick), ""])
        except StorageError as error:
            answers.append(["", ": ".join(filter(None, (error.message, error.cause)))])
    return answers


def _restore(layers_root: str, claim: list[object]) -> None:
    restore_layer(LayerStore(layers_root), _claim(claim))


def _claim(values: list[object]) -> LayerClaim:
    chain_id, diff_id, blob_path, lowers = values
    assert isinstance(lowers, list | tuple)
    return LayerClaim(parse_digest(str(chain_id)), str(diff_id), str(blob_path), tuple(map(parse_digest, lowers)))
