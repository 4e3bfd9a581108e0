"""COPY and ADD carried out: what is taken of the context, a stage or an image, and how it comes into the tree.

The key of what is taken is known before the tree is mounted, so that a step made before costs no mount.
"""

from __future__ import annotations

import os
import posixpath
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from sandbox.builder.sources.copy_request import read_copy_request, split_pivot
from sandbox.builder.sources.copy_sources import (
    Selection,
    Source,
    StepError,
    Taken,
    digest_found,
    find_paths,
    has_wildcards,
    is_archive,
    missing,
    open_found,
)  # fmt: skip
from sandbox.builder.steps.chmod import octal_mode, read_mode
from sandbox.builder.steps.copying import Changes, Copier, Target, is_directory
from sandbox.builder.steps.remote_origins import Origin
from sandbox.builder.steps.step_owners import find_owner
from sandbox.dockerfile.dockerignore import clean_path, read_patterns
from sandbox.dockerfile.errors import WordError
from storage.errors import StorageError
from storage.layers.unpack import unpack_layer
from storage.owner_book import OwnerBook
from storage.trees.resolve import open_in_root, path_in_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import ExitStack

    from sandbox.builder.sources.copy_request import CopyRequest
    from sandbox.builder.sources.copy_sources import Found
    from sandbox.builder.stage_state import StageState
    from sandbox.builder.step_layers import MountedStep, Workshop
    from sandbox.builder.steps.remote_origins import Remotes
    from sandbox.dockerfile.dockerignore import IgnoreRules
    from sandbox.dockerfile.errors import DockerfileError
    from sandbox.dockerfile.instructions import Add, Copy
    from sandbox.dockerfile.parser import Node

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class CopyPlan(NamedTuple):
    """A step to be made: its part of the cache key, and what makes it in the mounted tree."""

    key: list[object]
    act: Callable[[MountedStep], None]
    history: str
    #: made in an empty tree, whatever lies below: `--link`
    linked: bool
    #: the key by what the stages and images hold that are copied from; None where it is that already
    look: Callable[[], list[object]] | None = None


class CopyRoom:
    """Plans COPY and ADD for one build. `open_source` gives the tree of a `--from`, "" being the context."""

    def __init__(
        self, workshop: Workshop, remotes: Remotes, open_source: Callable[[str, Node, ExitStack], Source],
        identify: Callable[[str, Node], str], warn: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._workshop = workshop
        self._remotes = remotes
        self._open_source = open_source
        self._identify = identify
        self._warn = warn

    def plan(self, stage: StageState, copy: Copy | Add, stack: ExitStack) -> CopyPlan:
        """The step; what it holds open is closed with `stack`. Raises DockerfileError where a source is missing."""
        node = copy.node
        request = read_copy_request(stage, copy)
        try:
            origins = self._find_origins(request, node, stack)
        except (StepError, WordError) as error:
            raise located(node, error) from error
        by_name = not set(request.chown) <= set("0123456789:")
        key: list[object] = [
            node.instruction, request.target, request.into, request.chown, request.chmod, request.parents,
            request.files, [origin.key for origin in origins], request.unpack,
            stage.chain_id if request.link and by_name else "",
        ]  # fmt: skip

        def look() -> list[object]:
            held = [[_digest(one) for one in origin.open(stack)] for origin in origins]
            return [*key[:7], held, *key[8:]]

        def act(step: MountedStep) -> None:
            # names of users are the stage's, also where its files are not looked at
            below = stack.enter_context(self._workshop.mounted(stage.layers)) if request.link and by_name else step
            owner = find_owner(below.root_fd, request.chown) if request.chown else None
            try:
                self._act(request, owner, step, [one for origin in origins for one in origin.open(stack)])
            except OSError as error:
                raise StepError(f"cannot make {request.target}", cause=error.strerror or str(error)) from error

        by_layers = bool(request.source_name and request.sources and self._identify(request.source_name, node))
        return CopyPlan(key, act, request.history, request.link, look if by_layers else None)

    def _find_origins(self, request: CopyRequest, node: Node, stack: ExitStack) -> list[Origin]:
        """Where each source comes from. Raises StepError, WordError."""
        exclude = read_patterns(request.exclude) if request.exclude else None
        name = request.source_name
        tree = self._identify(name, node) if name and request.sources else ""
        if tree:
            # a stage or an image: known by its layers, and looked into only where the step is made

            def open_tree(stack: ExitStack) -> list[Taken]:
                source = self._open_source(name, node, stack)
                return [one for written in request.sources for one in _take(request, source, written, exclude)]

            return [Origin([tree, request.sources, request.exclude], open_tree)]
        found: list[Origin] = []
        context: Source | None = None
        for written in request.sources:
            origin = self._remotes.find(written, request)
            if origin is None:
                context = context or self._open_source(name, node, stack)
                taken = list(_take(request, context, written, exclude))
                try:
                    origin = Origin([_digest(one) for one in taken], partial(_given, taken))
                except StepError as error:
                    if not name and posixpath.normpath(written.lstrip("/")).startswith(".."):
                        error.cause = "nothing above the context can be copied"
                        error.mend = "sandbox build -f Dockerfile .. with a context further up"
                    raise
            found.append(origin)
        return found

    def _act(self, request: CopyRequest, owner: tuple[int, int] | None, step: MountedStep, taken: list[Taken]) -> None:
        changes = Changes(
            owner,
            read_mode(request.chmod) if request.chmod else None,
            0o755 if (number := octal_mode(request.chmod)) is None else number & 0o777,
        )
        target = Target(step.root_fd, request.target, request.into)
        if len(taken) > 1 and not request.into and not is_directory(target):
            self._warn(
                f"{len(taken)} sources match, and all go to the one file {request.target}, where the last stays: write"
                f" {request.target}/ for a directory"
            )
        with closing(Copier(target, changes)) as copier:
            for one in taken:
                found = open_found(one.source, one.path)
                try:
                    if one.unpacks and not found.is_directory and _holds_archive(found):
                        self._unpack(found, step, target, changes)
                    else:
                        copier.copy(one.source, found, one.selection)
                finally:
                    os.close(found.fd)
            for name, content in request.files:
                copier.write(name, content.encode(errors="surrogateescape"))

    def _unpack(self, found: Found, step: MountedStep, target: Target, changes: Changes) -> None:
        place = self._workshop.new_directory()
        place_fd = os.open(place, _DIRECTORY)
        book = OwnerBook("")
        try:
            with open(f"/proc/self/fd/{found.fd}", "rb", buffering=0) as archive:
                implied = unpack_layer(archive, place_fd, plain=True, book=book).implied
            for path in implied:
                directory = open_in_root(place_fd, path, os.O_RDONLY | os.O_DIRECTORY)
                os.fchmod(directory, 0o755)
                os.close(directory)
            unpacked = open_found(Source(place_fd), "")
            # modes are the archive's, whatever --chmod says
            try:
                with closing(Copier(target._replace(into=True), changes._replace(mode=None, replaces=True))) as copier:
                    copier.copy(Source(place_fd), unpacked)
            finally:
                os.close(unpacked.fd)
            if changes.owner is None:
                _keep_owners(book, step, target)
        except StorageError as error:
            raise StepError(f"cannot unpack /{found.real_path}: {error.message}", cause=error.cause) from error
        finally:
            book.close()
            os.close(place_fd)


def _keep_owners(book: OwnerBook, step: MountedStep, target: Target) -> None:
    """Write down for the step whose the entries of an archive are that it unpacks at the target."""
    above_fd = open_in_root(step.root_fd, target.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        above = path_in_root(step.root_fd, above_fd)
    finally:
        os.close(above_fd)
    with closing(step.book()) as kept:
        for path, true in book.entries():
            kept.note(above + b"/" + path if above else path, true)


def _given(taken: list[Taken], _stack: ExitStack) -> list[Taken]:
    return taken


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


def _take(request: CopyRequest, source: Source, written: str, exclude: IgnoreRules | None) -> Iterator[Taken]:
    """The paths a source argument names. Raises StepError for one without wildcards that is not there."""
    above, pattern = split_pivot(written) if request.parents else (written, "")
    selection = Selection(pattern, exclude)
    for path in find_paths(source, above):
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


def _holds_archive(found: Found) -> bool:
    try:
        with open(f"/proc/self/fd/{found.fd}", "rb", buffering=0) as file:
            return is_archive(file)
    except OSError:
        return False
