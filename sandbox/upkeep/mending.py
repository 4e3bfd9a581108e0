"""Damaged blobs mended, once it is known which layers are whole."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from sandbox.upkeep.findings import Finding

if TYPE_CHECKING:
    from sandbox.upkeep.blobs import BlobCheck
    from sandbox.upkeep.check_context import CheckContext
    from sandbox.upkeep.layers import LayerCheck
    from sandbox.upkeep.records import Records


def mend_blobs(context: CheckContext, blobs: BlobCheck, layers: LayerCheck, records: Records) -> None:
    """Report each damaged blob, made again from its layer or its copy, or else removed."""
    images = {digest: image.id for image in records.images for digest in (image.id, image.manifest_digest)}
    for digest in blobs.damaged:
        source = layers.whole_layer_of(digest)
        where = os.fspath(context.content.path(digest))
        finding = Finding("blob", digest, f"its content has another digest ({where})")
        if source is not None and blobs.make_again(finding, digest, source):
            continue
        if digest in images and blobs.put_back(finding, images[digest], digest):
            continue
        context.report(finding, partial(context.content.delete, digest))
