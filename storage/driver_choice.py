"""Which driver this machine gets: found by mounting, never by guessing from versions.

The order is that of speed: the kernel's overlay, the one on pyfuse3, copies.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from storage.drivers import driver_named
from storage.errors import StorageError
from storage.overlay.copy import CopyDriver
from storage.overlay.kernel import KernelDriver
from storage.trees.tree import remove_tree
from storage.whiteouts import make_opaque, make_whiteout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from storage.overlay.driver import Driver


class DriverChoice(NamedTuple):
    """The driver, and a sentence on why this one."""

    driver: Driver
    reason: str


def choose_driver(forced: str | None, probes: Mapping[str, Callable[[], None]]) -> DriverChoice:
    """The driver named by `forced`, or the first of `probes` that works here; `copy` needs none, and comes last.

    A probe (`probe_kernel_overlay`, `probe_fuse_overlay`) raises StorageError where its driver does not work.
    StorageError where the forced one is unknown or does not work.
    """
    if forced is not None:
        driver = driver_named(forced)
        if driver.name in probes:
            try:
                probes[driver.name]()
            except StorageError as error:
                raise StorageError(
                    f"the storage driver {forced} does not work here",
                    cause=error.cause,
                    mend=error.mend or "use --storage-driver copy",
                ) from error
        return DriverChoice(driver, "asked for")
    reasons = []
    for name, probe in probes.items():
        try:
            probe()
        except StorageError as error:
            reasons.append(f"{error.message}: {error.cause}" if error.cause else error.message)
            continue
        return DriverChoice(driver_named(name), "; ".join([*reasons, f"a probe mount of {name} worked"]))
    return DriverChoice(CopyDriver(), "; ".join(reasons))


def probe_kernel_overlay(place: str) -> None:
    """Mount an overlay below the directory `place` and look whether it does what layers need. StorageError where it
    does not.

    Runs where drivers run: as uid 0 of a mapped user namespace with a mount namespace of its own. Leaves nothing
    behind.
    """
    probe_driver(KernelDriver(), place)


def probe_driver(driver: Driver, place: str) -> None:
    """What `probe_kernel_overlay` does, for any driver with whiteouts. Raises StorageError with the reason."""
    root = f"{place}/.probe-{os.getpid()}"
    failure = f"the storage driver {driver.name} does not work here"
    try:
        remove_tree(root)
        seen = _try(driver, root)
    except OSError as error:
        raise StorageError(failure, cause=str(error.strerror or error)) from error
    except StorageError as error:
        raise StorageError(failure, cause=error.cause or error.message, mend=error.mend) from error
    finally:
        remove_tree(root)
    if seen != (["kept", "opaque"], []):
        raise StorageError(failure, cause="it does not heed whiteouts")


def _try(driver: Driver, root: str) -> tuple[list[str], list[str]]:
    """What is seen of two layers, the upper with a whiteout and an opaque directory."""
    for directory in ("lower/opaque", "top/opaque", "storage", "merged"):
        os.makedirs(f"{root}/{directory}")
    for name in ("hidden", "opaque/hidden", "kept"):
        os.mknod(f"{root}/lower/{name}")
    _in_directory(f"{root}/top", lambda fd: make_whiteout(fd, b"hidden"))
    _in_directory(f"{root}/top/opaque", make_opaque)
    driver.prepare(f"{root}/storage")
    mounted = driver.mount_root((f"{root}/lower", f"{root}/top"), f"{root}/storage", f"{root}/merged")
    try:
        mounted.wait_ready()
        seen = sorted(os.listdir(f"{root}/merged")), os.listdir(f"{root}/merged/opaque")
        os.unlink(f"{root}/merged/kept")
        os.mkdir(f"{root}/merged/kept")
    finally:
        mounted.unmount()
    return seen


def _in_directory(path: str, act: Callable[[int], None]) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        act(fd)
    finally:
        os.close(fd)
