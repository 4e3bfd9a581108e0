"""How a service's image is built, as a value; fields in Docker's order."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.stack.measures import Bytes, Pairs
    from sandbox.stack.parts_model import Extensions, FileGrant, Texts, Ulimit, Variables


class Build(NamedTuple):
    context: str = ""
    dockerfile: str = ""
    dockerfile_inline: str = ""
    entitlements: tuple[str, ...] = ()
    args: Variables = ()
    provenance: str = ""
    sbom: str = ""
    #: `default`, or ID=PATH
    ssh: tuple[str, ...] = ()
    labels: Texts = ()
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    no_cache: bool = False
    no_cache_filter: tuple[str, ...] = ()
    additional_contexts: Texts = ()
    pull: bool = False
    #: NAME=ADDRESS
    extra_hosts: tuple[str, ...] = ()
    isolation: str = ""
    network: str = ""
    target: str = ""
    secrets: tuple[FileGrant, ...] = ()
    #: bytes
    shm_size: Bytes | int = 0
    tags: tuple[str, ...] = ()
    ulimits: Pairs[Ulimit] | tuple[()] = ()
    platforms: tuple[str, ...] = ()
    privileged: bool = False
    extensions: Extensions = ()
