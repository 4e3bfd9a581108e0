"""What an overlay is made of."""

from __future__ import annotations

from storage.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage.overlay.fuse.owners import Owners


class OverlayConfig(NamedTuple):
    """Directories are paths or descriptors of directories; descriptors stay the caller's.

    `lower` is lowest first. Without `upper` and `work` the overlay is read-only; both lie on one file system.
    """

    lower: tuple[str | int, ...]
    upper: str | int | None = None
    work: str | int | None = None
    indexes: tuple[str | None, ...] = ()
    """Paths of index files (see `index.py`), one for each of `lower`, made where missing. A layer that has one must
    never change again.
    """
    writeback: bool = True
    """Whether the kernel collects writes in its page cache; without it each write(2) comes to the server at once."""
    owners: Owners | None = None
    """Who is shown as owner, where not who is on the disk."""
    static_nlink: bool = False
    """Whether directories have a link count of 1, which says that subdirectories are not counted."""
    no_xattrs: bool = False
    """Whether there are no extended attributes in it."""
    quota_bytes: int = 0
    """The most that the upper directory may take (see `quota.py`); 0 is no limit."""
    trace_path: str = ""
    """A file that records what is read of layers (see `tracing.py`)."""
    volatile: bool = False
    """Whether nothing is written to the disk on purpose: fsync is answered without being done."""
