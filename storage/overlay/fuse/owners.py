"""Owners as the container is shown them, where they are to differ from those on the disk: fuse-overlayfs's options
`uidmapping`, `gidmapping`, `squash_to_root`, `squash_to_uid` and `squash_to_gid`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyfuse3 import EntryAttributes

OVERFLOW_ID = 65534
"""Stands for an id that has no other, on both sides, unless the kernel was told another."""
LARGEST_ID = (1 << 32) - 2


class IdRange(NamedTuple):
    """`length` ids, from `shown` on in the overlay and from `kept` on on the disk."""

    shown: int
    kept: int
    length: int


class Owners(NamedTuple):
    """Both ways; whoever has no other id gets the overflow id, shown or kept.

    `squash_uid` and `squash_gid` are whom everything belongs to; what is made then stays the server's.
    """

    uids: tuple[IdRange, ...] = ()
    gids: tuple[IdRange, ...] = ()
    squash_uid: int | None = None
    squash_gid: int | None = None
    overflow_uid: int = OVERFLOW_ID
    overflow_gid: int = OVERFLOW_ID

    def show(self, entry: EntryAttributes) -> None:
        """Turn the owner on the disk into the one to be shown."""
        uid, gid = self.squash_uid, self.squash_gid
        entry.st_uid = uid if uid is not None else _shown(self.uids, entry.st_uid, self.overflow_uid)
        entry.st_gid = gid if gid is not None else _shown(self.gids, entry.st_gid, self.overflow_gid)

    def kept_uid(self, uid: int) -> int:
        """The owner on the disk; -1, which chown(2) takes for "as it is", where owners are squashed."""
        return -1 if self.squash_uid is not None else _kept(self.uids, uid, self.overflow_uid)

    def kept_gid(self, gid: int) -> int:
        """As `kept_uid`, for groups."""
        return -1 if self.squash_gid is not None else _kept(self.gids, gid, self.overflow_gid)


def read_overflow_id(kind: str) -> int:
    """The kernel's own, of "uid" or "gid"; proc_sys_kernel(5)."""
    try:
        with open(f"/proc/sys/kernel/overflow{kind}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return OVERFLOW_ID


def parse_id_ranges(text: str) -> tuple[IdRange, ...]:
    """`KEPT:SHOWN:COUNT[:KEPT:SHOWN:COUNT…]`, in fuse-overlayfs's order; podman begins with a colon. ValueError."""
    words = [word for word in text.split(":") if word]
    if len(words) % 3 or not all(word.isascii() and word.isdigit() and len(word) <= 10 for word in words):
        raise ValueError(f"{text!r} is not KEPT:SHOWN:COUNT")
    numbers = [int(word) for word in words]
    triples = (numbers[place : place + 3] for place in range(0, len(numbers), 3))
    ranges = tuple(IdRange(shown, kept, length) for kept, shown, length in triples)
    if any(max(shown, kept) + length - 1 > LARGEST_ID for shown, kept, length in ranges):
        raise ValueError(f"{text!r} goes beyond {LARGEST_ID}, the largest id")
    return ranges


def _shown(ranges: tuple[IdRange, ...], kept: int, overflow_id: int) -> int:
    for shown, first, length in ranges:
        if first <= kept < first + length:
            return shown + kept - first
    return overflow_id if ranges else kept


def _kept(ranges: tuple[IdRange, ...], shown: int, overflow_id: int) -> int:
    for first, kept, length in ranges:
        if first <= shown < first + length:
            return kept + shown - first
    # -1 is chown(2)'s "as it is"
    return overflow_id if ranges and shown != -1 else shown
