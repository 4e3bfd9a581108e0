"""Which storage driver new containers get: as forced, as configured, or as a probe found, once for each kernel."""

from __future__ import annotations

import os

from sandbox.config import load_config
from sandbox.errors import HostError, UsageError, translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3

    from sandbox.container.model.record import ContainerConfig
    from sandbox.paths import Paths


def storage_driver(connection: sqlite3.Connection, paths: Paths, forced: str = "") -> str:
    """The driver's name. Raises HostError for one that is unknown or does not work here."""
    wanted = forced or load_config(paths).storage_driver
    # another kernel, or the data on another file system, is another question
    key = f"storage driver {wanted} {os.uname().release} {os.stat(paths.data_root).st_dev}"
    row = connection.execute("SELECT value FROM setting WHERE key = ?", (key,)).fetchone()
    if row is not None and not (row[0] == "copy" and not wanted and _has_fuse()):
        return str(row[0])
    name, _reason = describe_choice(paths, wanted)
    connection.execute("INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)", (key, name))
    return name


def with_storage_driver(connection: sqlite3.Connection, paths: Paths, config: ContainerConfig) -> ContainerConfig:
    """`config` with the driver that it gets: `fuse` where it wants what only that can do. Raises HostError,
    and UsageError where the one asked for cannot do it.
    """
    wants = [
        what
        for what, wanted in (
            ("limit the size of a root file system (--storage-opt size)", config.storage_size_bytes),
            ("record what is read of the image (--trace-files)", config.trace_path),
        )
        if wanted
    ]
    if not wants:
        return config._replace(storage_driver=storage_driver(connection, paths, config.storage_driver))
    if config.storage_driver and storage_driver(connection, paths, config.storage_driver) != "fuse":
        raise UsageError(
            f"the storage driver {config.storage_driver} cannot {wants[0]}",
            mend="leave out --storage-driver, or use fuse",
        )
    with translated(HostError, f"cannot {wants[0]}"):
        return config._replace(storage_driver=storage_driver(connection, paths, "fuse"))


def driver_of_store(paths: Paths) -> str:
    """As `storage_driver`, for a caller that has no database open."""
    from sandbox.state import open_state

    with open_state(paths) as connection:
        return storage_driver(connection, paths)


def describe_choice(paths: Paths, wanted: str = "") -> tuple[str, str]:
    """The driver found by trying, and why this one. Raises HostError as `storage_driver` does."""
    # once for each kernel
    from sandbox.runtime.user_namespace import call_in_user_namespace
    from storage.drivers import driver_named

    with translated(HostError, "cannot choose a storage driver"):
        if wanted:
            # an unknown name is told before any namespace is made
            driver_named(wanted)
        answer = call_in_user_namespace(_choose, wanted, paths.data_root)
    assert isinstance(answer, list)
    return str(answer[0]), str(answer[1])


def require_fuse(what: str) -> None:
    """Raise HostError where `what`, which takes a FUSE server of ours, cannot be had; asks for packages only."""
    from storage.overlay.fuse.driver import check_pyfuse3

    with translated(HostError, f"cannot {what}"):
        check_pyfuse3()


def _has_fuse() -> bool:
    # where copies were all there was, pyfuse3 may have been installed since
    from storage.overlay.fuse.driver import is_installed

    return is_installed()


def _choose(wanted: str, place: str) -> list[str]:
    from storage.driver_choice import choose_driver, probe_kernel_overlay
    from storage.overlay.fuse.driver import probe_fuse_overlay

    probes = {"overlay": lambda: probe_kernel_overlay(place), "fuse": lambda: probe_fuse_overlay(place)}
    choice = choose_driver(wanted or None, probes)
    return [choice.driver.name, choice.reason]
