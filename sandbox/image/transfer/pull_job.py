"""What a pull is told and what it gives: plain values, shared by its two halves."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.config import Config
    from sandbox.image.platforms import Platform
    from sandbox.image.references import Reference
    from sandbox.image.store import ImageRecord
    from sandbox.image.transfer.progress import Progress
    from sandbox.paths import Paths


class Pulled(NamedTuple):
    """One image that is here now; `changed` tells whether its name meant something else, or nothing, before."""

    reference: Reference
    record: ImageRecord
    digest: str
    changed: bool


class Job(NamedTuple):
    """What a pull is told: everything it needs of its caller."""

    paths: Paths
    env: Mapping[str, str]
    config: Config
    platform: Platform
    #: whether a person asked for this platform, so that another one is an error
    platform_asked: bool
    progress: Progress
