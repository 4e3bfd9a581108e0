"""COPY and ADD carried out: what is taken of the context, a stage or an image, and how it comes into the tree.

The key of what is taken is known before the tree is mounted, so that a step made before costs no mount.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from sandbox.build.copy_request import read_copy_request, split_pivot
from sandbox.build.copying import Changes, Copier, Target
from sandbox.build.dockerignore import clean_path, read_patterns
from sandbox.build.errors import WordError
from sandbox.build.modes import octal_mode, read_mode
from sandbox.build.sources import (
    Selection,
    Source,
    StepError,
    digest_found,
    find_paths,
    has_wildcards,
    missing,
    open_found,
)  # fmt: skip
from sandbox.build.step_owners import find_owner
from storage.errors import StorageError
from storage.resolve import open_in_root
from storage.tar_read import TarReader
from storage.unpack import unpack_layer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from sandbox.build.copy_request import CopyRequest
    from sandbox.build.errors import DockerfileError
    from sandbox.build.instructions import Add, Copy
    from sandbox.build.parser import Node
    from sandbox.build.sources import Found
    from sandbox.build.stage_state import StageState
    from sandbox.build.step_layers import MountedStep, Workshop

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class CopyPlan(NamedTuple):
    """A step to be made: its part of the cache key, and what makes it in the mounted tree."""

    key: list[object]
    act: Callable[[MountedStep], None]
    history: str
    #: made in an empty tree, whatever lies below: `--link`
    linked: bool


class Taken(NamedTuple):
    """One path of a source, and which of its content is taken where it is a directory."""

    source: Source
    path: str
    selection: Selection
    unpacks: bool


class CopyRoom:
    """Plans COPY and ADD for one build. `open_source` gives the tree of a `--from`, "" being the context."""

    def __init__(
        self, workshop: Workshop, open_source: Callable[[str, Node, ExitStack], Source],
        identify: Callable[[str, Node], str],
    ) -> None:  # fmt: skip
        self._workshop = workshop
        self._open_source = open_source
        self._identify = identify

    def plan(self, stage: StageState, copy: Copy | Add, stack: ExitStack) -> CopyPlan:
        """The step; what it holds open is closed with `stack`. Raises DockerfileError where a source is missing."""
        node = copy.node
        request = read_copy_request(stage, copy)
        taken: list[Taken] | None = None
        origin: object = None
        try:
            selections = _selections(request)
            if request.sources and request.source_name:
                origin = [self._identify(request.source_name, node), request.sources, request.exclude]
            elif request.sources:
                source = self._open_source("", node, stack)
                taken = list(_take(request, source, selections))
                origin = [_digest(one) for one in taken]
        except (StepError, WordError) as error:
            raise located(node, error) from error
        by_name = not set(request.chown) <= set("0123456789:")
        key: list[object] = [
            node.instruction, request.target, request.into, request.chown, request.chmod, request.parents,
            request.files, origin, request.unpack,
            stage.chain_id if request.link and by_name else "",
        ]  # fmt: skip

        def act(step: MountedStep) -> None:
            found = taken
            if found is None:
                opened = self._open_source(request.source_name, node, stack) if request.sources else None
                found = list(_take(request, opened, selections)) if opened else []
            # names of users are the stage's, also where its files are not looked at
            below = stack.enter_context(self._workshop.mounted(stage.layers)) if request.link and by_name else step
            owner = find_owner(below.root_fd, request.chown) if request.chown else None
            self._act(request, owner, step, found, stack)

        return CopyPlan(key, act, request.history, request.link)

    def _act(
        self, request: CopyRequest, owner: tuple[int, int] | None, step: MountedStep, taken: list[Taken],
        stack: ExitStack,
    ) -> None:  # fmt: skip
        changes = Changes(
            owner,
            read_mode(request.chmod) if request.chmod else None,
            0o755 if (number := octal_mode(request.chmod)) is None else number & 0o777,
        )
        target = Target(step.root_fd, request.target, request.into)
        copier = Copier(target, changes)
        stack.callback(copier.close)
        for one in taken:
            found = open_found(one.source, one.path)
            try:
                if one.unpacks and not found.is_directory and _is_archive(found):
                    self._unpack(found, target, changes)
                else:
                    copier.copy(one.source, found, one.selection)
            finally:
                os.close(found.fd)
        for name, content in request.files:
            copier.write(name, content.encode(errors="surrogateescape"))

    def _unpack(self, found: Found, target: Target, changes: Changes) -> None:
        place = self._workshop.new_directory()
        place_fd = os.open(place, _DIRECTORY)
        try:
            with open(f"/proc/self/fd/{found.fd}", "rb", buffering=0) as archive:
                implied = unpack_layer(archive, place_fd, plain=True).implied
            for path in implied:
                directory = open_in_root(place_fd, path, os.O_RDONLY | os.O_DIRECTORY)
                os.fchmod(directory, 0o755)
                os.close(directory)
            unpacked = open_found(Source(place_fd), "")
            # modes are the archive's, whatever --chmod says
            copier = Copier(target._replace(into=True), changes._replace(mode=None, replaces=True))
            try:
                copier.copy(Source(place_fd), unpacked)
            finally:
                copier.close()
                os.close(unpacked.fd)
        except StorageError as error:
            raise StepError(f"cannot unpack /{found.real_path}: {error.message}", cause=error.cause) from error
        finally:
            os.close(place_fd)


def digest_path(source: Source, path: str, node: Node) -> object:
    """What a path of a source holds, for a cache key. Raises DockerfileError where there is none."""
    try:
        return _digest(Taken(source, clean_path(f"/{path}")[1:], Selection(), unpacks=False))
    except StepError as error:
        raise located(node, error) from error


def located(node: Node, error: StepError | WordError) -> DockerfileError:
    """The error with its place."""
    cause = f" ({error.cause})" if error.cause else ""
    return node.error(f"{error.message}{cause}", mend=error.mend)


def _selections(request: CopyRequest) -> list[tuple[str, Selection]]:
    """For each source the pattern of paths to open, and what is taken below them. Raises WordError."""
    exclude = read_patterns(request.exclude) if request.exclude else None
    if not request.parents:
        return [(source, Selection("", exclude)) for source in request.sources]
    return [(above, Selection(pattern, exclude)) for above, pattern in map(split_pivot, request.sources)]


def _take(request: CopyRequest, source: Source, selections: list[tuple[str, Selection]]) -> Iterator[Taken]:
    """Raises StepError for a path that is written without wildcards and is not there."""
    for (pattern, selection), written in zip(selections, request.sources, strict=True):
        for path in find_paths(source, pattern):
            one = Taken(source, path, selection, request.unpack is not False)
            if request.parents and not has_wildcards(written) and not _digest(one)[2]:
                raise missing(written.removeprefix("./").lstrip("/"), "--parents follows no symlink on the way to it")
            yield one


def _digest(one: Taken) -> list[object]:
    """What is taken, for the cache."""
    found = open_found(one.source, one.path)
    try:
        return [found.name, found.is_directory, digest_found(one.source, found, one.selection)]
    finally:
        os.close(found.fd)


def _is_archive(found: Found) -> bool:
    try:
        with open(f"/proc/self/fd/{found.fd}", "rb", buffering=0) as file:
            return TarReader(file).next_entry() is not None
    except (StorageError, OSError, EOFError, ValueError):
        return False
