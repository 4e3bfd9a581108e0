"""`system df -v`: each image, container, volume and record of the build cache as a row of texts."""

from __future__ import annotations

from sandbox.cli.volume_rows import volume_row
from sandbox.humane import ago, created_at, human_size, short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.builder.cache.cache_usage import CacheRecord
    from sandbox.cli.output.table import Row
    from sandbox.paths import Paths
    from sandbox.upkeep.usage import ContainerUse, ImageUse, VolumeUse

_DIGITS = 3
_NONE = "<none>"


def image_rows(use: ImageUse, now_ns: int, *, truncate: bool) -> Iterator[Row]:
    """A row for each name of the image, one where it has none."""
    total = human_size(use.shared_bytes + use.own_bytes, _DIGITS)
    for name in use.names or (None,):
        repository = name.familiar_repository if name else _NONE
        digest = next((one.digest for one in use.digests if one.familiar_repository == repository), _NONE)
        yield {
            "Repository": repository,
            "Tag": name.tag if name else _NONE,
            "Digest": digest,
            "ID": short_id(use.record.id) if truncate else use.record.id,
            "CreatedSince": ago(use.record.created_ns, now_ns),
            "CreatedAt": created_at(use.record.created_ns),
            "Size": total,
            "VirtualSize": total,
            "SharedSize": human_size(use.shared_bytes, _DIGITS),
            "UniqueSize": human_size(use.own_bytes, _DIGITS),
            "Containers": str(use.containers),
        }


def container_use_row(paths: Paths, use: ContainerUse, *, truncate: bool) -> Row:
    """The row of `ps`, its size measured."""
    from sandbox.cli.container_rows import RowOptions, container_row

    written = human_size(use.written_bytes, _DIGITS)
    return {**container_row(paths, use.container, RowOptions(truncate)), "Size": written}


def volume_use_row(paths: Paths, use: VolumeUse) -> Row:
    """The row of `volume ls`, its size and the containers that mount it counted."""
    return {**volume_row(paths, use.volume), "Links": str(use.links), "Size": human_size(use.size_bytes, _DIGITS)}


def cache_row(record: CacheRecord, now_ns: int, *, truncate: bool) -> Row:
    """One step, cache mount or file from the web."""
    return {
        "ID": record.id[:12] if truncate else record.id,
        "CacheType": record.kind,
        "Description": record.description,
        "Size": human_size(record.size_bytes, _DIGITS),
        "CreatedAt": created_at(record.created_ns),
        "CreatedSince": ago(record.created_ns, now_ns),
        "LastUsedAt": created_at(record.used_ns),
        "LastUsedSince": ago(record.used_ns, now_ns),
        "UsageCount": str(record.uses),
        "InUse": "false",
        "Shared": str(record.shared).lower(),
    }
