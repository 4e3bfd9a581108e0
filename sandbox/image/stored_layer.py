"""One layer of an image as a value: what is stored, and what it must give."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from storage.digests import Digest


class Layer(NamedTuple):
    """One layer of an image: the blob as stored, and what unpacking it must give."""

    blob: Digest
    blob_path: str
    diff_id: Digest
    chain_id: Digest
