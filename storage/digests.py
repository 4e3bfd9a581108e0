"""Digests: the names content has. Only sha256, the one algorithm every registry speaks."""

from __future__ import annotations

from storage.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NewType

    Digest = NewType("Digest", str)
else:
    Digest = str
"""`sha256:` and 64 lower-case hexadecimal digits. Made by `parse_digest` or `digest_of` only: safe as a file name."""

_HEX = frozenset("0123456789abcdef")


def parse_digest(text: str) -> Digest:
    """`text` as a digest.

    StorageError for anything else: no path and no request is made from what did not pass here.
    """
    algorithm, _, encoded = text.partition(":")
    if algorithm != "sha256" or len(encoded) != 64 or not _HEX.issuperset(encoded):
        raise StorageError(f"not a sha256 digest: {text[:100]!r}")
    return Digest(text)


def digest_hex(digest: Digest) -> str:
    """The 64 digits; the digest is checked again, since a path is made of them."""
    return parse_digest(digest)[7:]


def digest_of(data: bytes) -> Digest:
    """The digest of `data`."""
    # OpenSSL comes with it: starting a container parses digests and makes none
    import hashlib

    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def chain_ids(diff_ids: Sequence[Digest]) -> tuple[Digest, ...]:
    """The chain id of each layer, lowest first (image-spec config.md §Layer ChainID)."""
    chain: list[Digest] = []
    for diff_id in diff_ids:
        chain.append(digest_of(f"{chain[-1]} {diff_id}".encode()) if chain else diff_id)
    return tuple(chain)
