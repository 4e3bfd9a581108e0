"""ADD from URLs and Git repositories: what is known of them before the step is made, and their files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from sandbox.builder.sources.copy_sources import Selection, Source, StepError, Taken
from sandbox.builder.sources.git_source import GitAccess, checkout_git, resolve_git
from sandbox.builder.sources.git_urls import parse_git_url
from sandbox.builder.sources.url_source import UrlAccess, check_digest, fetch_url, url_name
from sandbox.dockerfile.dockerignore import read_patterns
from sandbox.image.web.web_file import is_url

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from sandbox.builder.request import BuildPlan
    from sandbox.builder.sources.copy_request import CopyRequest
    from sandbox.builder.sources.git_urls import GitUrl
    from sandbox.builder.step_layers import Workshop
    from sandbox.paths import Paths

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Origin(NamedTuple):
    """Where sources come from: `key` says what they hold; `open` fetches what is not here yet, and holds it open as
    long as the stack.
    """

    key: object
    open: Callable[[ExitStack], Sequence[Taken]]


class Remotes:
    """Fetches for one build, into its own directory."""

    def __init__(self, workshop: Workshop, paths: Paths, plan: BuildPlan) -> None:
        self._workshop = workshop
        self._paths = paths
        self._urls = UrlAccess(plan.env, plan.secrets)
        self._commits = plan.commits
        self._git = GitAccess(paths, plan.env, plan.secrets, plan.ssh.get("default", ""))

    def find(self, source: str, request: CopyRequest) -> Origin | None:
        """The origin that a source of ADD names; None for a path. Raises StepError where it cannot be had."""
        repository = parse_git_url(source)
        if repository is not None:
            return self._find_commit(repository, request)
        return self._find_file(source, request) if is_url(source) else None

    def _find_file(self, url: str, request: CopyRequest) -> Origin:
        name = url_name(url)
        checksum = check_digest(request.checksum) if request.checksum else ""
        fetched = None if checksum else fetch_url(url, "", self._workshop.new_directory(), self._paths, self._urls)

        def open_file(stack: ExitStack) -> list[Taken]:
            file = fetched or fetch_url(url, checksum, self._workshop.new_directory(), self._paths, self._urls)
            place, name = os.path.split(file.path)
            return [Taken(_open(place, stack), name, Selection(), request.unpack is True)]

        return Origin(["URL", name, fetched.digest if fetched else checksum], open_file)

    def _find_commit(self, url: GitUrl, request: CopyRequest) -> Origin:
        checksum = request.checksum or url.checksum
        if request.checksum and url.checksum and request.checksum != url.checksum:
            raise StepError(f"{url.shown}: two checksums that differ: {request.checksum!r} and {url.checksum!r}")
        keep = url.keep_git_dir if request.keep_git_dir is None else request.keep_git_dir
        if url.keep_git_dir is not None and keep != url.keep_git_dir:
            raise StepError(f"{url.shown}: --keep-git-dir and the URL's keep-git-dir differ")
        # one meaning for the whole build; and the look for cached steps, which comes first, asks for the rest too
        commit = self._commits.get((url, checksum))
        if commit is None:
            commit = self._commits[url, checksum] = resolve_git(url, checksum, self._git)

        def open_tree(stack: ExitStack) -> list[Taken]:
            place = self._workshop.new_directory()
            tree = checkout_git(url, commit, place, self._git, keep_git_dir=bool(keep))
            exclude = read_patterns(request.exclude) if request.exclude else None
            return [Taken(_open(tree, stack), "", Selection("", exclude), unpacks=False)]

        kept = url.shown if keep else ""
        key = ["Git", commit.commit, url.subdirectory, url.submodules, url.commit_times, kept, request.exclude]
        return Origin(key, open_tree)


def _open(place: str, stack: ExitStack) -> Source:
    fd = os.open(place, _DIRECTORY)
    stack.callback(os.close, fd)
    return Source(fd, keeps_owners=False)
