"""All handlers in one class, as pyfuse3 wants them."""

from __future__ import annotations

from storage.overlay.fuse.lookups import Lookups
from storage.overlay.fuse.renames import Renames
from storage.overlay.fuse.xattrs import Xattrs


class OverlayOperations(Lookups, Renames, Xattrs):
    """The overlay file system."""
