"""What a build is asked for, and what it gives: plain values, which cross to the process that builds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.build.arguments import Globals
    from sandbox.build.contexts import ContextTree
    from sandbox.build.progress import EventSink
    from sandbox.build.stages import Program
    from sandbox.image.platforms import Platform


class BaseImage(NamedTuple):
    """An image a stage starts or copies from: its document, and its layers as the store and its manifest know them."""

    config: dict[str, Any]
    layers: tuple[tuple[str, str, dict[str, Any]], ...]  # chain id, diff id, descriptor


class BuildPlan(NamedTuple):
    """A file understood, its images found, its context open: all that carrying it out needs.

    `context` is None where there is none (the Dockerfile alone came on standard input).
    """

    program: Program
    globals: Globals
    stages: tuple[int, ...]
    target: int
    images: Mapping[str, BaseImage]
    context: ContextTree | None
    #: named contexts that are files, by the compared form of their names
    contexts: Mapping[str, ContextTree]
    platform: Platform
    network: str
    no_cache: bool
    labels: dict[str, str]
    proxies: dict[str, str]
    secrets: Mapping[str, bytes]
    #: the caller's environment, for proxies and certificates on the way to servers
    env: Mapping[str, str]
    #: sockets of SSH agents by their ids
    ssh: Mapping[str, str]
    #: who shows what happens
    events: EventSink
    #: files of new layers get no later time than this, in seconds since 1970
    rewritten_epoch: int | None = None
    #: names of stages, lower case, whose steps are all made anew
    no_cache_stages: frozenset[str] = frozenset()

    def is_fresh(self, number: int) -> bool:
        """Whether no layer of an earlier build is taken for the steps of this stage."""
        names = {self.program.stages[number].name, str(number)}
        return self.no_cache or bool(names & self.no_cache_stages)


class BuildResult(NamedTuple):
    """The image to record: its config document and the descriptors of its layers."""

    config: dict[str, Any]
    layers: list[dict[str, Any]]
    chain_ids: list[str]
