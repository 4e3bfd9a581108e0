"""What takes away what nobody uses: containers, images, volumes, networks, or all of it with `system prune`."""

from __future__ import annotations

import sys
import time

from sandbox.cli.command import Command, Invocation
from sandbox.cli.flags import option
from sandbox.errors import UsageError
from sandbox.grammar.filters import parse_filters
from sandbox.grammar.prune_filters import PRUNE_KEYS, read_prune_filters
from sandbox.humane import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.image.removal import Removed

_QUESTION = "Are you sure you want to continue? [y/N] "
_UNUSED_NETWORKS = "all custom networks not used by at least one container"
_EVERY_IMAGE = "all images without at least one container associated to them"


def prune_containers(invocation: Invocation) -> int:
    """Print the ids of those that went, and what that freed."""
    from sandbox.upkeep import operations

    filters = _filters(invocation)
    read_prune_filters(filters, time.time_ns())
    if _is_refused(invocation, "WARNING! This will remove all stopped containers.\n"):
        return 0
    pruned = operations.prune_containers(invocation.context.for_operations(), filters)
    _print_deleted(invocation, "Deleted Containers:", pruned.ids)
    _print_total(invocation, pruned.freed_bytes)
    return 0


def prune_volumes(invocation: Invocation) -> int:
    """Print the names of those that went, and what that freed."""
    from sandbox.volume import operations

    filters, named = _filters(invocation), invocation.flag("all")
    wanted = operations.read_volume_filters(filters, named=named)
    what = "all local volumes" if wanted.named else "anonymous local volumes"
    if _is_refused(invocation, f"WARNING! This will remove {what} not used by at least one container.\n"):
        return 0
    pruned = operations.prune(invocation.context.for_operations(), filters, named=named)
    _print_deleted(invocation, "Deleted Volumes:", pruned.names)
    _print_total(invocation, pruned.freed_bytes)
    return 0


def prune_networks(invocation: Invocation) -> int:
    """Print the names of those that went."""
    from sandbox.network import operations

    filters = _filters(invocation)
    read_prune_filters(filters, time.time_ns())
    if _is_refused(invocation, f"WARNING! This will remove {_UNUSED_NETWORKS}.\n"):
        return 0
    _print_deleted(invocation, "Deleted Networks:", operations.prune(invocation.context.for_operations(), filters))
    return 0


def prune_images(invocation: Invocation) -> int:
    """Print what was untagged and deleted, and what that freed."""
    from sandbox.upkeep import operations

    filters = _filters(invocation)
    asked = read_prune_filters(filters, time.time_ns(), ("dangling",)).filters
    named = invocation.flag("all") or asked.flag("dangling") is False
    if _is_refused(invocation, f"WARNING! This will remove {_EVERY_IMAGE if named else 'all dangling images'}.\n"):
        return 0
    pruned = operations.prune_images(invocation.context.for_operations(), filters, named=named)
    _print_images(invocation, pruned.removed)
    _print_total(invocation, pruned.freed_bytes)
    return 0


def prune_all(invocation: Invocation) -> int:
    """Containers first: their images are unused then."""
    from sandbox.builder import operations as cache_operations
    from sandbox.network import operations as network_operations
    from sandbox.upkeep import operations
    from sandbox.volume import operations as volume_operations

    everything, volumes, filters = invocation.flag("all"), invocation.flag("volumes"), _filters(invocation)
    asked = parse_filters(filters, PRUNE_KEYS)
    if volumes and asked.given("until"):
        raise UsageError('The "until" filter is not supported with "--volumes"', mend="leave one of the two out")
    read_prune_filters(filters, time.time_ns())
    if _is_refused(invocation, _warning(everything=everything, volumes=volumes, filters=filters)):
        return 0
    context = invocation.context.for_operations()
    containers = operations.prune_containers(context, filters)
    _print_deleted(invocation, "Deleted Containers:", containers.ids)
    freed = containers.freed_bytes
    _print_deleted(invocation, "Deleted Networks:", network_operations.prune(context, filters))
    if volumes:
        went = volume_operations.prune(context, filters)
        _print_deleted(invocation, "Deleted Volumes:", went.names)
        freed += went.freed_bytes
    images = operations.prune_images(context, filters, named=everything)
    _print_images(invocation, images.removed)
    freed += images.freed_bytes
    if not (asked.given("label") or asked.given("label!")):
        # a step of a build has no labels
        bounds = [f"until={text}" for text in asked.of("until")]
        cached = cache_operations.prune_cache(context, bounds, shared=everything)
        _print_deleted(invocation, "Deleted build cache objects:", [record.id[:25] for record in cached.records])
        freed += cached.freed_bytes
    if not filters:
        freed += operations.prune_leftovers(context)
    _print_total(invocation, freed)
    return 0


def _filters(invocation: Invocation) -> tuple[str, ...]:
    """Those of the command line, and those that Docker's config.json has for every prune."""
    from sandbox.docker_prune_filters import with_kept_filters

    return with_kept_filters(invocation.context.env, invocation.texts("filter"))


def _warning(*, everything: bool, volumes: bool, filters: Sequence[str]) -> str:
    lines = [
        "all stopped containers",
        "all networks not used by at least one container",
        *(["all anonymous volumes not used by at least one container"] if volumes else []),
        _EVERY_IMAGE if everything else "all dangling images",
        "all build cache" if everything else "unused build cache",
    ]
    listed = "".join(f"  - {line}\n" for line in lines)
    if filters:
        asked = "".join(f"  - {text}\n" for text in sorted(filters))
        listed += f"\n  Items to be pruned will be filtered with:\n{asked}"
    return f"WARNING! This will remove:\n{listed}\n"


def _is_refused(invocation: Invocation, warning: str) -> bool:
    if invocation.flag("force"):
        return False
    invocation.context.stdout.write(warning + _QUESTION)
    invocation.context.stdout.flush()
    return sys.stdin.readline().strip().lower() not in ("y", "yes")


def _print_deleted(invocation: Invocation, title: str, names: Sequence[str]) -> None:
    if names:
        invocation.context.print(title)
        for name in names:
            invocation.context.print(name)
        invocation.context.print("")


def _print_images(invocation: Invocation, removed: Sequence[Removed]) -> None:
    if removed:
        invocation.context.print("Deleted Images:")
        for one in removed:
            for name in one.untagged:
                invocation.context.print_quoted(f"untagged: {name}")
            for digest in one.deleted:
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
        "network prune",
        "Remove all unused networks",
        "[OPTIONS]",
        (_FILTER, _FORCE),
        prune_networks,
        most=0,
        examples=("sandbox network prune -f", "sandbox network prune --filter until=24h"),
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
