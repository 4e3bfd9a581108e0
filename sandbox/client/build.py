"""A build as a client asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.named_tuple import NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


class BuildRequest(NamedTuple):
    """An image to be built of a directory."""

    #: absolute
    directory: str
    #: the Dockerfile's path below it, "" for the usual one
    file: str = ""
    tags: tuple[str, ...] = ()
    arguments: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    target: str = ""
    no_cache: bool = False
    pull: bool = False
    platform: str = ""
    network: str = "default"
