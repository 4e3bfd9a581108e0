"""What killed processes leave by design, known by locks that nobody holds: it is in nobody's way."""

from __future__ import annotations

import os
import time
from functools import partial
from typing import TYPE_CHECKING

from sandbox.runtime.owned_trees import remove_files
from sandbox.runtime.user_namespace import call_in_user_namespace
from sandbox.upkeep.findings import Finding
from sandbox.upkeep.sweep import RESET
from storage.layers.store import LayerStore
from storage.locks import is_unlocked, remove_unlocked

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.upkeep.check_context import CheckContext


def find_leftovers(context: CheckContext) -> None:
    """Downloads that stopped, layers that were being made, builds that were killed."""
    root = context.paths.data_root
    for path in _free(f"{root}/blobs/partial"):
        context.report(
            Finding("download", os.path.basename(path), "it stopped; the next pull goes on from it", leftover=True),
            partial(remove_unlocked, path),
        )
    stages = context.layers.leftovers()
    for name in stages:
        context.report(Finding("stage", name, "a layer was being made by a process that was killed", leftover=True),
                    lambda: call_in_user_namespace(_sweep, context.paths.layers))  # fmt: skip
    for name in sorted(os.listdir(root)):
        if name.startswith(RESET):
            context.report(
                Finding("stage", name, "a reset that was killed had set it aside", leftover=True),
                partial(remove_files, f"{root}/{name}"),
            )
    for path in _free(f"{root}/build"):
        context.report(
            Finding("build", os.path.basename(path), "it was killed; the next build removes it", leftover=True),
            partial(call_in_user_namespace, remove_unlocked, path),
        )


def check_cache_mounts(context: CheckContext) -> None:
    """Directories of `RUN --mount=type=cache` against their records, both ways; one that a build uses is locked."""
    directory = f"{context.paths.data_root}/build-mounts"
    try:
        there = {name for name in os.listdir(directory) if not name.endswith(".lock")}
    except FileNotFoundError:
        there = set()
    # records come after directories, and are read after them
    recorded = {name for (name,) in context.connection.execute("SELECT name FROM build_mount")}
    for name in sorted(there ^ recorded):
        if _is_locked(f"{directory}/{name}.lock"):
            continue
        if name in there:
            context.report(
                Finding("build cache", name, "a cache mount without a record: its build was killed", leftover=True),
                partial(_record_mount, context, name),
            )
        else:
            context.report(
                Finding("build cache", name, "the directory of this cache mount has been removed", leftover=True),
                partial(context.connection.execute, "DELETE FROM build_mount WHERE name = ?", (name,)),
            )


def _record_mount(context: CheckContext, name: str) -> None:
    """What a build put there is of use to the next; `builder prune` removes it, which a record lets it find."""
    now_ns = time.time_ns()
    row = (name, "a cache mount whose record was lost", now_ns, now_ns)
    context.connection.execute("INSERT OR IGNORE INTO build_mount VALUES (?, ?, ?, ?, 0)", row)


def _is_locked(path: str) -> bool:
    return os.path.exists(path) and not is_unlocked(path)


def _free(directory: str) -> Iterator[str]:
    try:
        names = sorted(os.listdir(directory))
    except FileNotFoundError:
        return
    for name in names:
        if is_unlocked(f"{directory}/{name}"):
            yield f"{directory}/{name}"


def _sweep(layers_root: str) -> None:
    LayerStore(layers_root).sweep()
