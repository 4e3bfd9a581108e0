"""What the store takes on disk, as Docker's document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.humane import rfc3339
from sandbox.volume.document import describe_volume

if TYPE_CHECKING:
    from sandbox.builder.cache.cache_usage import CacheRecord
    from sandbox.paths import Paths
    from sandbox.upkeep.usage import ContainerUse, ImageUse, Usage, VolumeUse

Document = dict[str, Any]


def describe_usage(paths: Paths, usage: Usage) -> Document:
    """The answer of Docker's engine to `system df`; sizes in bytes, times of images and containers in Unix seconds."""
    return {
        "LayersSize": usage.layers_bytes,
        "Images": [_image(use) for use in usage.images],
        "Containers": [_container(use) for use in usage.containers],
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


def _container(use: ContainerUse) -> Document:
    container = use.container
    config = container.config
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": config.image,
        "ImageID": config.image_id,
        "Command": " ".join((*config.entrypoint, *config.command)),
        "Created": container.created_ns // 10**9,
        "SizeRw": use.written_bytes,
        "SizeRootFs": use.total_bytes,
        "Labels": dict(config.labels),
        "State": container.state.status,
    }


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
