"""Whether a driver works here: tried by mounting, below a directory of the store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from storage.errors import StorageError, os_failure
from storage.trees.tree import remove_tree
from storage.whiteouts import make_opaque, make_whiteout

if TYPE_CHECKING:
    from collections.abc import Callable

    from storage.overlay.driver import Driver


def probe_driver(driver: Driver, place: str) -> None:
    """What `probe_kernel_overlay` does, for any driver with whiteouts. Raises StorageError with the reason."""
    root = f"{place}/.probe-{os.getpid()}"
    failure = f"the storage driver {driver.name} does not work here"
    try:
        remove_tree(root)
        seen = _try(driver, root)
    except OSError as error:
        raise os_failure(failure, error) from error
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
