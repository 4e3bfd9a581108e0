"""What a build is asked for, and what it gives: plain values, which cross to the process that builds."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple

from sandbox.errors import UsageError
from sandbox.image.platforms import parse_platform

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sandbox.builder.progress.progress import EventSink
    from sandbox.builder.sources.contexts import ContextTree
    from sandbox.builder.sources.git_source import GitCommit
    from sandbox.builder.sources.git_urls import GitUrl
    from sandbox.dockerfile.arguments import Globals
    from sandbox.dockerfile.instructions import From
    from sandbox.dockerfile.stages import Program
    from sandbox.image.platforms import Platform
    from sandbox.runtime.spec import ResourceLimit


class BaseImage(NamedTuple):
    """An image a stage starts or copies from: its document, and its layers as the store and its manifest know them."""

    config: dict[str, Any]
    layers: tuple[tuple[str, str, dict[str, Any]], ...]  # chain id, diff id, descriptor


class RunSettings(NamedTuple):
    """What every RUN gets beside its own flags: `extra_hosts` are name:address."""

    extra_hosts: tuple[str, ...] = ()
    shm_size_bytes: int = 0
    limits: tuple[ResourceLimit, ...] = ()


class JoinedNetwork(NamedTuple):
    """The network of a container that runs, in which RUNs are; `files` is where its hosts and resolv.conf lie."""

    pid: int
    files: str
    hostname: str
    #: it is the host's, which is entered in another way
    is_host: bool = False


#: given a network and the name of an image, the id of a container on that network, for the length of the block
Holder = Callable[[str, str], AbstractContextManager[str]]


def image_key(name: str, platform: Platform | None) -> str:
    """What an image is found by: its name, and the platform where one is asked for."""
    return f"{name}\0{platform.normalised()}" if platform else name


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
    #: what is built for, and what this machine runs
    platform: Platform
    native: Platform
    #: whether somebody asked for `platform`: images are then taken for no other
    platform_asked: bool
    network: str
    no_cache: bool
    labels: dict[str, str]
    proxies: dict[str, str]
    secrets: Mapping[str, bytes]
    #: the caller's environment, for proxies and certificates on the way to servers
    env: Mapping[str, str]
    #: sockets of SSH agents by their ids
    ssh: Mapping[str, str]
    #: what refs of Git repositories meant when this build asked first; filled as it goes on
    commits: dict[tuple[GitUrl, str], GitCommit]
    #: who shows what happens
    events: EventSink
    #: mounts the steps' trees
    storage_driver: str
    #: files of new layers get no later time than this, in seconds since 1970
    rewritten_epoch: int | None = None
    #: names of stages, lower case, whose steps are all made anew
    no_cache_stages: frozenset[str] = frozenset()

    settings: RunSettings = RunSettings()
    #: what the caller lets a RUN have beyond a container's rights, see `entitlements`
    entitlements: frozenset[str] = frozenset()
    #: told as by the classic builder: instructions that are no steps too, and what commands write to their two outputs
    #: apart, whose order among each other is then not exact
    is_classic: bool = False
    #: of the container that `network` names, or that is on it, while steps are made
    joined: JoinedNetwork | None = None
    #: has a container be on a network
    hold: Holder | None = None

    @property
    def wanted_platform(self) -> Platform | None:
        """What images are wanted for that no `FROM --platform` names; None where nobody asked."""
        return self.platform if self.platform_asked else None

    def stage_platform(self, number: int) -> Platform | None:
        """What the base of a stage is wanted for. Raises DockerfileError."""
        start = self.program.stages[number].start
        return read_stage_platform(self.globals, start) or self.wanted_platform

    def is_fresh(self, number: int) -> bool:
        """Whether no layer of an earlier build is taken for the steps of this stage."""
        names = {self.program.stages[number].name, str(number)}
        return self.no_cache or bool(names & self.no_cache_stages)


def read_stage_platform(globals_: Globals, start: From) -> Platform | None:
    """The platform of a `FROM --platform`, None without. Raises DockerfileError."""
    text = globals_.expand(start.platform, start.node).text
    if not text:
        return None
    try:
        return parse_platform(text)
    except UsageError as error:
        raise start.node.error(f"{error.message}", mend=error.mend) from error


class BuildResult(NamedTuple):
    """The image to record: its config document and the descriptors of its layers."""

    config: dict[str, Any]
    layers: list[dict[str, Any]]
    chain_ids: list[str]
    #: what the steps were made of, for a cache: see `StageState.records`; and the stages that are not the target
    records: Sequence[list[Any]] = ()
    others: Sequence[BuildResult] = ()
