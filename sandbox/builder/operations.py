"""What can be done with the build cache and with a Dockerfile's text, for whoever asks. Values in, values out.

A build itself is `build_image` of `build_image`, of options that its front has read.
"""

from __future__ import annotations

import time

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.builder.cache.cache_usage import CacheRecord, Pruned, PruneRequest
    from sandbox.dockerfile.errors import DockerfileError
    from sandbox.dockerfile.printing import NodeDocument
    from sandbox.operation_context import OperationContext

_CACHE_KEYS = ("until", "unused-for", "id", "type")
_CACHE_KINDS = ("regular", "exec.cachemount", "source.http")


class CacheUsage(NamedTuple):
    """The records of the build cache, the last used first, and what they take: `shared_bytes` is of layers that images
    or containers need too, `reclaimable_bytes` what a prune of everything would free.
    """

    records: tuple[CacheRecord, ...]
    shared_bytes: int
    reclaimable_bytes: int


class Parsed(NamedTuple):
    """A Dockerfile as its parser read it; `fault` is why it could not be built."""

    nodes: tuple[NodeDocument, ...]
    fault: DockerfileError | None


def cache_usage(context: OperationContext) -> CacheUsage:
    """What the build cache takes. Raises HostError."""
    from sandbox.builder.cache.cache_usage import freed_bytes, list_cache

    records = list_cache(context.paths)
    shared = {record.chain_id: record.size_bytes for record in records if record.shared}
    return CacheUsage(tuple(records), sum(shared.values()), freed_bytes(records, records))


def prune_cache(
    context: OperationContext,
    filters: Sequence[str] = (),
    *,
    shared: bool = False,
    keep_bytes: int | None = None,
) -> Pruned:
    """Remove what passes every filter (until, unused-for, id, type), the longest unused first, until at most
    `keep_bytes` are left; with `shared` also the steps that images are made of.

    Raises UsageError, FilterError; ConflictError while an image is being made.
    """
    from sandbox.builder.cache.cache_usage import prune_cache as prune

    wanted = read_cache_filters(filters, time.time_ns())
    return prune(context.paths, wanted._replace(all=shared, keep_bytes=keep_bytes))


def read_cache_filters(texts: Sequence[str], now_ns: int) -> PruneRequest:
    """The filters of a prune, "KEY=VALUE" each; times are counted back from `now_ns`, ns since 1970. Raises UsageError,
    FilterError.
    """
    from sandbox.builder.cache.cache_usage import PruneRequest
    from sandbox.grammar.filters import FilterError, parse_filters, parse_time

    wanted = parse_filters(texts, _CACHE_KEYS)
    times = [parse_time(text, now_ns) for key in ("until", "unused-for") for text in wanted.of(key)]
    for kind in wanted.of("type"):
        if kind not in _CACHE_KINDS:
            raise FilterError(f"invalid filter 'type={kind}'", mend=f"type={'|'.join(_CACHE_KINDS)}")
    return PruneRequest(before_ns=min(times) if times else None, ids=wanted.of("id"), kinds=wanted.of("type"))


def parse(data: bytes, name: str) -> Parsed:
    """How the Dockerfile `data` is understood; `name` stands for it in errors. Raises DockerfileError where it cannot
    be read at all.
    """
    from sandbox.dockerfile.errors import DockerfileError
    from sandbox.dockerfile.parser import parse_dockerfile
    from sandbox.dockerfile.printing import document
    from sandbox.dockerfile.stages import read_program

    dockerfile = parse_dockerfile(data, name)
    fault = None
    try:
        read_program(dockerfile)
    except DockerfileError as error:
        # a tool sees all the same how every instruction was read
        fault = error
    return Parsed(tuple(document(node) for node in dockerfile.nodes), fault)
