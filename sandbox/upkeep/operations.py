"""What can be done with the store as a whole, for whoever asks: a command, a program. Values in, values out.

Volumes are pruned by `volume.operations`, the build cache by `builder.operations`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sandbox.operation_context import OperationContext
    from sandbox.upkeep.check_context import Options
    from sandbox.upkeep.findings import Report
    from sandbox.upkeep.prune import PrunedContainers, PrunedImages
    from sandbox.upkeep.usage import Usage


def usage(context: OperationContext) -> Usage:
    """What images, containers, volumes and the build cache take. Raises ImageError for a damaged manifest."""
    from sandbox.upkeep.usage import measure

    return measure(context.paths)


def usage_document(context: OperationContext) -> dict[str, Any]:
    """The same as Docker's document. Raises ImageError."""
    from sandbox.upkeep.usage_document import describe_usage

    return describe_usage(context.paths, usage(context))


def prune_containers(context: OperationContext, filters: Sequence[str] = ()) -> PrunedContainers:
    """Remove the containers that do not run and pass every filter (until, label, label!), with what they wrote; their
    volumes stay. Raises UsageError, FilterError.
    """
    from sandbox.grammar.prune_filters import read_prune_filters
    from sandbox.upkeep.prune import prune_containers as prune

    return prune(context.paths, read_prune_filters(filters, time.time_ns()).accept)


def prune_images(context: OperationContext, filters: Sequence[str] = (), *, named: bool = False) -> PrunedImages:
    """Remove the images without a container that have no name and pass every filter (dangling, until, label, label!);
    with `named`, or the filter `dangling=false`, also those that have one. With neither `until` nor labels what pulls,
    loads and builds that were cut short have left goes as well. Raises UsageError, FilterError.
    """
    from sandbox.grammar.prune_filters import read_prune_filters
    from sandbox.upkeep.prune import prune_unused_images

    wanted = read_prune_filters(filters, time.time_ns(), ("dangling",))
    named = named or wanted.filters.flag("dangling") is False
    # what nothing names has no labels, and nobody knows when it was made
    garbage = wanted.before_ns is None and not wanted.by_label
    return prune_unused_images(context.paths, wanted.accept, named=named, garbage=garbage)


def prune_leftovers(context: OperationContext) -> int:
    """Remove what killed builds, removals and resets left aside; the bytes that this freed. Raises SandboxError."""
    from sandbox.upkeep.sweep import sweep_leftovers

    return sweep_leftovers(context.paths)


def check(context: OperationContext, options: Options, note: Callable[[str], None] = lambda _text: None) -> Report:
    """Hold all that is stored against all that is recorded, and mend what `options` ask for. `note` is told what is
    waited for. Raises SandboxError where that cannot be done.
    """
    from sandbox.upkeep.check import check_store

    return check_store(context.paths, options, note)


def describe_contents(context: OperationContext) -> str:
    """What the store holds, in words, whatever its database is like; "" where it is empty."""
    from sandbox.upkeep.reset import describe_contents as describe

    return describe(context.paths)


def boot_place(context: OperationContext) -> str:
    """Where it is written that this store's containers start at boot; "" where that is nowhere."""
    from sandbox.autostart.operations import place_for_store

    return place_for_store(context)


def reset(context: OperationContext, note: Callable[[str], None] = lambda _text: None) -> int:
    """Stop every container, and remove everything that is kept, and what starts containers at boot: the bytes that this
    freed. It needs no database. `note` is told what is waited for. Raises SandboxError where something is left, which
    another reset removes.
    """
    from sandbox.autostart.operations import disable
    from sandbox.upkeep.reset import reset_store

    freed = reset_store(context.paths, note)
    if boot_place(context):
        disable(context)
    return freed
