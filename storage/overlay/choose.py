"""Which driver this machine gets: found by mounting, never by guessing from versions.

The place of a third driver, on pyfuse3, is between the two: it joins `driver_named` and `choose_driver`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from storage.errors import StorageError
from storage.overlay.copy import CopyDriver
from storage.overlay.kernel import KernelDriver
from storage.overlay.named import driver_named
from storage.syscalls import MNT_DETACH, umount2
from storage.tree import remove_tree
from storage.whiteouts import make_opaque, make_whiteout

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.overlay.driver import Driver


class DriverChoice(NamedTuple):
    """The driver, and a sentence on why this one."""

    driver: Driver
    reason: str


def choose_driver(forced: str | None, probe: Callable[[], None]) -> DriverChoice:
    """The driver named by `forced`, or the fastest that works here as `probe` finds (see `probe_kernel_overlay`).

    StorageError where the forced one is unknown or does not work.
    """
    if forced is not None:
        driver = driver_named(forced)
        if driver.name == "overlay":
            try:
                probe()
            except StorageError as error:
                raise StorageError(
                    f"the storage driver {forced} does not work here",
                    cause=error.cause,
                    mend="use --storage-driver copy",
                ) from error
        return DriverChoice(driver, "asked for")
    try:
        probe()
    except StorageError as error:
        return DriverChoice(CopyDriver(), f"{error.message}: {error.cause}" if error.cause else error.message)
    return DriverChoice(KernelDriver(), "a probe mount of the kernel's overlay worked")


def probe_kernel_overlay(place: str) -> None:
    """Mount an overlay below the directory `place` and look whether it does what layers need. StorageError where it
    does not.

    Runs where drivers run: as uid 0 of a mapped user namespace with a mount namespace of its own. Leaves nothing
    behind.
    """
    root = f"{place}/.probe-{os.getpid()}"
    try:
        remove_tree(root)
        _probe_in(root)
    except OSError as error:
        raise StorageError("the kernel's overlay does not work here", cause=str(error.strerror or error)) from error
    finally:
        remove_tree(root)


def _probe_in(root: str) -> None:
    driver = KernelDriver()
    for directory in ("lower/opaque", "top/opaque", "storage", "merged"):
        os.makedirs(f"{root}/{directory}")
    for name in ("hidden", "opaque/hidden", "kept"):
        os.mknod(f"{root}/lower/{name}")
    _in_directory(f"{root}/top", lambda fd: make_whiteout(fd, b"hidden"))
    _in_directory(f"{root}/top/opaque", make_opaque)
    driver.prepare(f"{root}/storage")
    driver.mount_root((f"{root}/lower", f"{root}/top"), f"{root}/storage", f"{root}/merged")
    try:
        seen = sorted(os.listdir(f"{root}/merged")), os.listdir(f"{root}/merged/opaque")
        os.unlink(f"{root}/merged/kept")
        os.mkdir(f"{root}/merged/kept")
    finally:
        umount2(f"{root}/merged", MNT_DETACH)
    if seen != (["kept", "opaque"], []):
        raise StorageError("the kernel's overlay does not work here", cause="it does not heed whiteouts")


def _in_directory(path: str, act: Callable[[int], None]) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        act(fd)
    finally:
        os.close(fd)
