"""Owners as the container is shown them, where they are to differ from those on the disk: fuse-overlayfs's options
`uidmapping`, `gidmapping`, `squash_to_root`, `squash_to_uid` and `squash_to_gid`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyfuse3 import EntryAttributes

OVERFLOW_ID = 65534
"""Shown for an id that has no other, as the kernel does."""


class IdRange(NamedTuple):
    """`length` ids, from `shown` on in the overlay and from `kept` on on the disk."""

    shown: int
    kept: int
    length: int


class Owners(NamedTuple):
    """Both ways. `squash_uid` and `squash_gid` are whom everything belongs to; what is made then stays the server's."""

    uids: tuple[IdRange, ...] = ()
    gids: tuple[IdRange, ...] = ()
    squash_uid: int | None = None
    squash_gid: int | None = None

    def show(self, entry: EntryAttributes) -> None:
        """Turn the owner on the disk into the one to be shown."""
        entry.st_uid = self.squash_uid if self.squash_uid is not None else _shown(self.uids, entry.st_uid)
        entry.st_gid = self.squash_gid if self.squash_gid is not None else _shown(self.gids, entry.st_gid)

    def kept_uid(self, uid: int) -> int:
        """The owner on the disk; -1, which chown(2) takes for "as it is", where owners are squashed."""
        return -1 if self.squash_uid is not None else _kept(self.uids, uid)

    def kept_gid(self, gid: int) -> int:
        """As `kept_uid`, for groups."""
        return -1 if self.squash_gid is not None else _kept(self.gids, gid)


def parse_id_ranges(text: str) -> tuple[IdRange, ...]:
    """`KEPT:SHOWN:COUNT[:KEPT:SHOWN:COUNT…]`, in fuse-overlayfs's order. ValueError."""
    numbers = [int(word) for word in text.split(":")]
    if len(numbers) % 3 or min(numbers) < 0:
        raise ValueError(f"{text!r} is not KEPT:SHOWN:COUNT")
    triples = (numbers[place : place + 3] for place in range(0, len(numbers), 3))
    return tuple(IdRange(shown, kept, length) for kept, shown, length in triples)


def _shown(ranges: tuple[IdRange, ...], kept: int) -> int:
    for shown, first, length in ranges:
        if first <= kept < first + length:
            return shown + kept - first
    return OVERFLOW_ID if ranges else kept


def _kept(ranges: tuple[IdRange, ...], shown: int) -> int:
    for first, kept, length in ranges:
        if first <= shown < first + length:
            return kept + shown - first
    if ranges and shown != -1:
        # chown(2) says so of an id that the namespace has not
        raise OSError(22, "the id is not mapped")
    return shown
