"""Drivers by name: what a container was made with is what it is mounted with, without a probe."""

from __future__ import annotations

from storage.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from storage.overlay.driver import Driver

DRIVER_NAMES = ("overlay", "fuse", "copy")
_ALIASES = {"overlay2": "overlay", "fuse-overlayfs": "fuse", "vfs": "copy"}


def driver_named(name: str) -> Driver:
    """The driver of this name (Docker's `overlay2`, `fuse-overlayfs` and `vfs` are understood), without a probe.

    StorageError for an unknown one.
    """
    # each container is mounted by one of them: the others are not imported
    match _ALIASES.get(name, name):
        case "overlay":
            from storage.overlay.kernel import KernelDriver

            return KernelDriver()
        case "fuse":
            from storage.overlay.fuse.driver import FuseDriver

            return FuseDriver()
        case "copy":
            from storage.overlay.copy import CopyDriver

            return CopyDriver()
    raise StorageError(f"unknown storage driver {name!r}", mend=f"use one of: {', '.join(DRIVER_NAMES)}")
