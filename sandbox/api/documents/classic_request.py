"""A build as the classic builder is asked for it."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.values import Rlimit


class ClassicBuild(NamedTuple):
    """The parameters; `remote` is a URL, "" where the archive is the context."""

    remote: str = ""
    file: str = ""
    tags: tuple[str, ...] = ()
    arguments: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    target: str = ""
    no_cache: bool = False
    pull: bool = False
    platform: str = ""
    network: str = "default"
    extra_hosts: tuple[str, ...] = ()
    shm_size_bytes: int = 0
    quiet: bool = False
    limits: tuple[Rlimit, ...] = ()
    #: images of which alone steps may be taken again; none says that any may
    cache_from: tuple[str, ...] = ()
    #: what is asked for and cannot be had, a sentence each
    warnings: tuple[str, ...] = ()
