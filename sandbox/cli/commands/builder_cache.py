"""`sandbox builder du` and `sandbox builder prune`."""

from __future__ import annotations

import sys
import time

from sandbox.cli.command import Command, Invocation
from sandbox.cli.flags import option
from sandbox.cli.output.table import render_table
from sandbox.errors import UsageError
from sandbox.humane import ago, ellipsis, human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.builder.cache.cache_usage import CacheRecord

_WARNING = "WARNING! This will remove {what} build cache. Are you sure you want to continue? [y/N] "


def du(invocation: Invocation) -> int:
    """Print every record of the cache, and what they take together."""
    from sandbox.builder.operations import cache_usage

    usage = cache_usage(invocation.context.for_operations())
    now_ns = time.time_ns()
    rows: list[Sequence[str]] = [("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED", "TYPE", "DESCRIPTION")]
    for record in usage.records:
        description = record.description if invocation.flag("verbose") else ellipsis(record.description, 50)
        rows.append((*_cells(record, now_ns), record.kind, description))
    invocation.context.print_quoted(render_table(rows).rstrip("\n"))
    invocation.context.print(f"Shared:\t\t{human_size(usage.shared_bytes)}")
    invocation.context.print(f"Private:\t{human_size(usage.reclaimable_bytes)}")
    invocation.context.print(f"Reclaimable:\t{human_size(usage.reclaimable_bytes)}")
    invocation.context.print(f"Total:\t\t{human_size(usage.shared_bytes + usage.reclaimable_bytes)}")
    return 0


def prune(invocation: Invocation) -> int:
    """Remove the cache, or what filters and limits say of it; print what went and how much that was."""
    from sandbox.builder.operations import prune_cache, read_cache_filters

    context = invocation.context
    everything, limit_bytes = invocation.flag("all"), _limit(invocation)
    filters = invocation.texts("filter")
    # before the question
    read_cache_filters(filters, time.time_ns())
    if not invocation.flag("force"):
        context.stdout.write(_WARNING.format(what="all" if everything else "all dangling"))
        context.stdout.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 0
    removed, freed = prune_cache(context.for_operations(), filters, shared=everything, keep_bytes=limit_bytes)
    if removed:
        # what has gone could be had, whoever shares its layer
        rows = [
            ("ID", "RECLAIMABLE", "SIZE", "LAST ACCESSED"),
            *(_cells(record._replace(shared=False), time.time_ns()) for record in removed),
        ]
        context.print_quoted(render_table(rows).rstrip("\n"))
    context.print(f"Total:\t{human_size(freed)}")
    return 0


def _cells(record: CacheRecord, now_ns: int) -> Sequence[str]:
    return (record.id[:25], str(not record.shared).lower(), human_size(record.size_bytes), ago(record.used_ns, now_ns))


def _limit(invocation: Invocation) -> int | None:
    """How much may stay: what is reserved always, and up to the most that may be used."""
    from sandbox.grammar.sizes import parse_size

    found = []
    for key in ("keep-storage", "reserved-space", "max-used-space"):
        text = invocation.text(key)
        if text is not None:
            try:
                found.append(parse_size(text))
            except UsageError as error:
                raise UsageError(f"invalid --{key} {text!r}", mend=f"--{key} 10GB") from error
    return max(found) if found else None


COMMANDS: tuple[Command, ...] = (
    Command(
        "builder du",
        "Show what the build cache takes",
        "[OPTIONS]",
        (option("--verbose", "flag", "Show whole descriptions"),),
        du,
        examples=("sandbox builder du",),
    ),
    Command(
        "builder prune",
        "Remove build cache",
        "[OPTIONS]",
        (
            option("-a --all", "flag", "Remove all of the cache, also steps that images are made of"),
            option("--filter", "list", 'Provide filter values (e.g., "until=24h", "id=ID")', "filter"),
            option("-f --force", "flag", "Do not prompt for confirmation"),
            option("--keep-storage", "text", "Amount of cache to keep (the longest unused goes first)", "bytes"),
            option("--reserved-space", "text", "Amount of cache that always stays", "bytes"),
            option("--max-used-space", "text", "Amount of cache that may stay", "bytes"),
        ),
        prune,
        examples=("sandbox builder prune -f --filter until=24h", "sandbox builder prune -af"),
    ),
)
