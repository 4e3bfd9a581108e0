"""Which storage driver new containers get: as forced, as configured, or as a probe found, once for each kernel."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sandbox.config import load_config
from sandbox.errors import HostError, translated

if TYPE_CHECKING:
    import sqlite3

    from sandbox.paths import Paths


def storage_driver(connection: sqlite3.Connection, paths: Paths, forced: str = "") -> str:
    """The driver's name. Raises HostError for one that is unknown or does not work here."""
    wanted = forced or load_config(paths).storage_driver
    # another kernel, or the data on another file system, is another question
    key = f"storage driver {wanted} {os.uname().release} {os.stat(paths.data_root).st_dev}"
    row = connection.execute("SELECT value FROM setting WHERE key = ?", (key,)).fetchone()
    if row is not None:
        return str(row[0])
    name = _probed(paths, wanted)
    connection.execute("INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)", (key, name))
    return name


def _probed(paths: Paths, wanted: str) -> str:
    # once for each kernel
    from sandbox.runtime.user_namespace import call_in_user_namespace
    from storage.overlay.named import driver_named

    with translated(HostError, "cannot choose a storage driver"):
        if wanted:
            # an unknown name is told before any namespace is made
            driver_named(wanted)
        name = call_in_user_namespace(_choose, wanted, paths.data_root)
    return str(name)


def _choose(wanted: str, place: str) -> str:
    from storage.overlay.choose import choose_driver, probe_kernel_overlay

    return choose_driver(wanted or None, lambda: probe_kernel_overlay(place)).driver.name
