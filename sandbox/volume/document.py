"""A volume as Docker's document."""

from __future__ import annotations

from sandbox.grammar.local_driver import DRIVER
from sandbox.humane import rfc3339
from sandbox.volume.volumes import volume_data

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.paths import Paths
    from sandbox.volume.store import Volume


def describe_volume(paths: Paths, volume: Volume) -> dict[str, Any]:
    """What `docker volume inspect` prints of it."""
    return {
        "CreatedAt": rfc3339(volume.created_ns),
        "Driver": DRIVER,
        "Labels": dict(sorted(volume.labels.items())) or None,
        "Mountpoint": volume_data(paths, volume.name),
        "Name": volume.name,
        "Options": dict(sorted(volume.options.items())) or None,
        "Scope": "local",
    }
