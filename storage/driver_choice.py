"""Which driver this machine gets: found by mounting, never by guessing from versions.

The order is that of speed: the kernel's overlay, the one on pyfuse3, copies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from storage.drivers import driver_named
from storage.errors import StorageError
from storage.overlay.copy import CopyDriver
from storage.overlay.kernel import KernelDriver
from storage.overlay.probe import probe_driver

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
