"""One layer of an image as a value: what is stored, and what it must give."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.digests import Digest

    #: told a blob's digest, how much of it has been unpacked, and how much it is
    Unpacked = Callable[[Digest, int, int], None]


class Layer(NamedTuple):
    """One layer of an image: the blob as stored, and what unpacking it must give."""

    blob: Digest
    blob_path: str
    diff_id: Digest
    chain_id: Digest
