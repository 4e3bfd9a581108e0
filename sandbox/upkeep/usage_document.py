"""What the store takes on disk, as Docker's document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.container.view.summaries import summarise
from sandbox.humane import rfc3339
from sandbox.volume.document import describe_volume

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.builder.cache.cache_usage import CacheRecord
    from sandbox.paths import Paths
    from sandbox.upkeep.usage import ContainerUse, ImageUse, Usage, VolumeUse

Document = dict[str, Any]


def describe_usage(paths: Paths, usage: Usage) -> Document:
    """The answer of Docker's engine to `system df`; sizes in bytes, times of images and containers in Unix seconds."""
    return {
        "LayersSize": usage.layers_bytes,
        "Images": [_image(use) for use in usage.images],
        "Containers": _containers(paths, usage.containers),
        "Volumes": [_volume(paths, use) for use in usage.volumes],
        "BuildCache": [_cache_record(record) for record in usage.cache],
        "BuilderSize": usage.cache_bytes,
    }


def _image(use: ImageUse) -> Document:
    return {
        "Id": use.record.id,
        "ParentId": "",
        "RepoTags": [name.familiar for name in use.names],
        "RepoDigests": [digest.familiar for digest in use.digests],
        "Created": use.record.created_ns // 10**9,
        "Size": use.shared_bytes + use.own_bytes,
        "SharedSize": use.shared_bytes,
        "Labels": (use.record.config.get("config") or {}).get("Labels"),
        "Containers": use.containers,
    }


def _containers(paths: Paths, uses: Sequence[ContainerUse]) -> list[Document]:
    found = summarise(paths, [use.container for use in uses], with_size=False)
    return [
        document | {"SizeRw": use.written_bytes, "SizeRootFs": use.total_bytes}
        for document, use in zip(found, uses, strict=True)
    ]


def _volume(paths: Paths, use: VolumeUse) -> Document:
    usage = {"RefCount": use.links, "Size": use.size_bytes}
    return {**describe_volume(paths, use.volume), "UsageData": usage}


def _cache_record(record: CacheRecord) -> Document:
    return {
        "ID": record.id,
        "Type": record.kind,
        "Description": record.description,
        "InUse": False,
        "Shared": record.shared,
        "Size": record.size_bytes,
        "CreatedAt": rfc3339(record.created_ns),
        "LastUsedAt": rfc3339(record.used_ns),
        "UsageCount": record.uses,
    }
