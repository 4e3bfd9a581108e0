"""What takes away what nobody uses: `container prune`, `image prune`, `volume prune`, `system prune`."""

from __future__ import annotations

import sys
import time

from sandbox.cli.command import Command, Invocation
from sandbox.cli.flags import option
from sandbox.errors import UsageError
from sandbox.grammar.filters import Filters, parse_filters, parse_time
from sandbox.humane import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.image.removal import Removed

_KEYS = ("until", "label", "label!")
_QUESTION = "Are you sure you want to continue? [y/N] "


def prune_containers(invocation: Invocation) -> int:
    """Print the ids of those that went, and what that freed."""
    from sandbox.upkeep.prune import prune_containers as prune

    accept = _acceptance(invocation, _KEYS)
    if _is_refused(invocation, "WARNING! This will remove all stopped containers.\n"):
        return 0
    pruned = prune(invocation.context.find_paths(), accept)
    _print_containers(invocation, pruned.ids)
    _print_total(invocation, pruned.freed_bytes)
    return 0


def prune_volumes(invocation: Invocation) -> int:
    """Print the names of those that went, and what that freed."""
    from sandbox.volume.operations import prune

    filters = parse_filters(invocation.texts("filter"), ("all", "label", "label!"))
    everything = invocation.flag("all") or bool(filters.flag("all"))
    what = "all local volumes" if everything else "anonymous local volumes"
    if _is_refused(invocation, f"WARNING! This will remove {what} not used by at least one container.\n"):
        return 0
    pruned = prune(
        invocation.context.for_operations(),
        lambda volume: (everything or volume.anonymous) and _fits(filters, volume.labels),
    )
    _print_volumes(invocation, pruned.names)
    _print_total(invocation, pruned.freed_bytes)
    return 0


def prune_images(invocation: Invocation) -> int:
    """Print what was untagged and deleted, and what that freed."""
    from sandbox.upkeep.prune import prune_unused_images

    filters = parse_filters(invocation.texts("filter"), ("dangling", *_KEYS))
    named = invocation.flag("all") or filters.flag("dangling") is False
    accept = _acceptance(invocation, ("dangling", *_KEYS))
    what = "all images without at least one container associated to them" if named else "all dangling images"
    if _is_refused(invocation, f"WARNING! This will remove {what}.\n"):
        return 0
    pruned = prune_unused_images(invocation.context.find_paths(), accept, named=named)
    _print_images(invocation, pruned.removed)
    _print_total(invocation, pruned.freed_bytes)
    return 0


def prune_all(invocation: Invocation) -> int:
    """Containers first: their images are unused then."""
    from sandbox.builder.cache.cache_usage import PruneRequest, prune_cache
    from sandbox.upkeep.prune import prune_containers as prune
    from sandbox.upkeep.prune import prune_unused_images
    from sandbox.volume.prune import prune_volumes as prune_unused_volumes

    everything, volumes = invocation.flag("all"), invocation.flag("volumes")
    filters = parse_filters(invocation.texts("filter"), _KEYS)
    if volumes and filters.given("until"):
        raise UsageError('The "until" filter is not supported with "--volumes"', mend="leave one of the two out")
    accept = _acceptance(invocation, _KEYS)
    images = "all images without at least one container associated to them" if everything else "all dangling images"
    cache = "all build cache" if everything else "unused build cache"
    lines = ["all stopped containers", images, cache]
    if volumes:
        lines.insert(1, "all anonymous volumes not used by at least one container")
    listed = "".join(f"  - {line}\n" for line in lines)
    if _is_refused(invocation, f"WARNING! This will remove:\n{listed}\n"):
        return 0
    paths = invocation.context.find_paths()
    containers = prune(paths, accept)
    _print_containers(invocation, containers.ids)
    freed = containers.freed_bytes
    if volumes:
        went = prune_unused_volumes(paths, lambda volume: volume.anonymous and _fits(filters, volume.labels))
        _print_volumes(invocation, went.names)
        freed += went.freed_bytes
    pruned = prune_unused_images(paths, accept, named=everything)
    _print_images(invocation, pruned.removed)
    freed += pruned.freed_bytes
    if not filters.given("label") and not filters.given("label!"):
        # a step of a build has no labels
        times = [parse_time(text, time.time_ns()) for text in filters.of("until")]
        cached = prune_cache(paths, PruneRequest(everything, min(times) if times else None))
        if cached.records:
            invocation.context.print("Deleted build cache objects:")
            for record in cached.records:
                invocation.context.print(record.id[:25])
            invocation.context.print("")
        freed += cached.freed_bytes
    _print_total(invocation, freed)
    return 0


def _acceptance(invocation: Invocation, keys: tuple[str, ...]) -> Callable[[int, Mapping[str, str]], bool]:
    filters = parse_filters(invocation.texts("filter"), keys)
    now_ns = time.time_ns()
    bounds = [parse_time(text, now_ns) for text in filters.of("until")]

    def accept(created_ns: int, labels: Mapping[str, str]) -> bool:
        return all(created_ns < bound for bound in bounds) and _fits(filters, labels)

    return accept


def _fits(filters: Filters, labels: Mapping[str, str]) -> bool:
    return (not filters.given("label") or filters.match_labels(labels)) and (
        not filters.given("label!") or filters.match_labels(labels, "label!")
    )


def _is_refused(invocation: Invocation, warning: str) -> bool:
    if invocation.flag("force"):
        return False
    invocation.context.stdout.write(warning + _QUESTION)
    invocation.context.stdout.flush()
    return sys.stdin.readline().strip().lower() not in ("y", "yes")


def _print_containers(invocation: Invocation, ids: tuple[str, ...]) -> None:
    if ids:
        invocation.context.print("Deleted Containers:")
        for container_id in ids:
            invocation.context.print(container_id)
        invocation.context.print("")


def _print_volumes(invocation: Invocation, names: tuple[str, ...]) -> None:
    if names:
        invocation.context.print("Deleted Volumes:")
        for name in names:
            invocation.context.print(name)
        invocation.context.print("")


def _print_images(invocation: Invocation, removed: Removed) -> None:
    if removed.untagged or removed.deleted:
        invocation.context.print("Deleted Images:")
        for name in removed.untagged:
            invocation.context.print_quoted(f"untagged: {name}")
        for digest in removed.deleted:
            invocation.context.print(f"deleted: {digest}")
        invocation.context.print("")


def _print_total(invocation: Invocation, freed_bytes: int) -> None:
    invocation.context.print(f"Total reclaimed space: {human_size(freed_bytes)}")


_FILTER = option("--filter", "list", 'Provide filter values (e.g. "until=24h", "label=<key>=<value>")', "filter")
_FORCE = option("-f --force", "flag", "Do not prompt for confirmation")
_ALL = option("-a --all", "flag", "Remove all unused images not just dangling ones")

COMMANDS: tuple[Command, ...] = (
    Command(
        "container prune",
        "Remove all stopped containers",
        "[OPTIONS]",
        (_FILTER, _FORCE),
        prune_containers,
        most=0,
        examples=("sandbox container prune -f --filter until=24h",),
    ),
    Command(
        "image prune",
        "Remove unused images",
        "[OPTIONS]",
        (_ALL, _FILTER, _FORCE),
        prune_images,
        most=0,
        examples=("sandbox image prune -f", "sandbox image prune -a"),
    ),
    Command(
        "volume prune",
        "Remove unused local volumes",
        "[OPTIONS]",
        (
            option("-a --all", "flag", "Remove all unused volumes, not just anonymous ones"),
            option("--filter", "list", 'Provide filter values (e.g. "label=<label>")', "filter"),
            _FORCE,
        ),
        prune_volumes,
        most=0,
        examples=("sandbox volume prune -f", "sandbox volume prune -a"),
    ),
    Command(
        "system prune",
        "Remove unused data",
        "[OPTIONS]",
        (_ALL, _FILTER, _FORCE, option("--volumes", "flag", "Prune anonymous volumes")),
        prune_all,
        most=0,
        examples=("sandbox system prune -af", "sandbox system prune -a --volumes"),
    ),
)  # fmt: skip
