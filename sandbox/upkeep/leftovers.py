"""What killed processes leave by design, known by locks that nobody holds: it is in nobody's way."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.upkeep.findings import Finding
from storage.layers import LayerStore
from storage.locks import lock_nowait, unlock
from storage.tree import remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.upkeep.check import Desk


def find_leftovers(desk: Desk) -> None:
    """Downloads that stopped, layers that were being made, builds that were killed."""
    root = desk.paths.data_root
    for path in _free(f"{root}/blobs/partial"):
        desk.report(
            Finding("download", os.path.basename(path), "it stopped; the next pull goes on from it", leftover=True),
            partial(_remove_free, path),
        )
    stages = desk.layers.leftovers()
    for name in stages:
        desk.report(Finding("stage", name, "a layer was being made by a process that was killed", leftover=True),
                    lambda: call_in_user_namespace(_sweep, desk.paths.layers))  # fmt: skip
    for path in _free(f"{root}/build"):
        desk.report(
            Finding("build", os.path.basename(path), "it was killed; the next build removes it", leftover=True),
            partial(call_in_user_namespace, _remove_free, path),
        )


def _free(directory: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    for name in names:
        fd = lock_nowait(f"{directory}/{name}")
        if fd is not None:
            unlock(fd)
            yield f"{directory}/{name}"


def _remove_free(path: str) -> None:
    fd = lock_nowait(path)
    if fd is not None:
        try:
            remove_tree(path)
        finally:
            unlock(fd)


def _sweep(layers_root: str) -> None:
    LayerStore(layers_root).sweep()
