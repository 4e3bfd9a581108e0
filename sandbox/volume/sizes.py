"""What volumes take on disk."""

from __future__ import annotations

import os

from sandbox.runtime.user_namespace import call_in_user_namespace
from storage.trees.tree import disk_usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.paths import Paths


def volume_bytes(paths: Paths, names: list[str]) -> list[int]:
    """What each volume takes. No database connection may be open."""
    if not names:
        return []
    sizes = call_in_user_namespace(_measure_volumes, paths.volumes, names)
    assert isinstance(sizes, list)
    return sizes


def _measure_volumes(root: str, names: list[str]) -> list[int]:
    """As root of the namespace, which may look everywhere."""
    places = [f"{root}/{name}/_data" for name in names]
    return [disk_usage(place).size_bytes if os.path.isdir(place) else 0 for place in places]
