"""A build in a worker, for the classic builder's clients."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from sandbox.api.documents.build_messages import BuildMessages, failure_message
from sandbox.api.session import recorded_in
from sandbox.builder.build_image import BuildOptions, build_image
from sandbox.builder.request import RunSettings
from sandbox.builder.results.exporting import ExportRequest
from sandbox.builder.results.outputs import read_outputs
from sandbox.builder.sources.copy_request import is_remote
from sandbox.builder.sources.copy_sources import StepError
from sandbox.builder.sources.git_urls import parse_git_url
from sandbox.caller_directory import CallerDirectory
from sandbox.container.monitor.runtime_spec import resource_limit
from sandbox.container.network_holding import held_network
from sandbox.docker_proxies import find_proxies
from sandbox.dockerfile.errors import DockerfileError
from sandbox.errors import UsageError
from sandbox.image.references import parse_reference
from sandbox.image.store import find_named_image
from sandbox.state import open_state

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.api.documents.classic_request import ClassicBuild
    from sandbox.operation_context import OperationContext


def build(
    context: OperationContext,
    request: ClassicBuild,
    session: str,
    archive_fd: int,
    tell: Callable[[dict[str, Any]], None],
) -> None:
    """Build what the archive, or a URL, holds. What is wrong with the file, or fails in a step, is told; raises
    SandboxError for the rest.
    """
    if request.remote and not _is_elsewhere(request.remote):
        # what would be a directory of the server's, and is none of the client's
        raise UsageError(f"remoteURL ({request.remote}) could not be recognized as URL")
    no_cache = request.no_cache or not _may_reuse(context, request.cache_from)
    messages = BuildMessages(tell, quiet=request.quiet, reuses=not no_cache)
    for sentence in request.warnings:
        messages.say(f"[Warning] {sentence}")
    if not request.remote:
        # the builder takes an archive as a command does that is given "-"
        os.dup2(archive_fd, 0)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115  the worker's, to its end
    directory = CallerDirectory("/")
    names = tuple(parse_reference(tag) for tag in request.tags)
    options = BuildOptions(
        request.remote or "-",
        request.file,
        directory,
        request.arguments,
        request.target,
        no_cache=no_cache,
        pull=request.pull,
        labels=request.labels,
        proxies=find_proxies(context.env, messages.say),
        network="default" if request.network == "bridge" else request.network,
        hold=partial(held_network, context),
        platform=request.platform,
        settings=RunSettings(request.extra_hosts, request.shm_size_bytes, tuple(map(resource_limit, request.limits))),
        is_classic=True,
        export=ExportRequest(read_outputs((), names, (), push=False, load=False), directory),
        events=messages,
    )
    try:
        with recorded_in(session):
            image_id = build_image(context.paths, context.env, options).image_id
    except DockerfileError as error:
        tell(failure_message(error.message))
        return
    tell({"aux": {"ID": image_id}})
    if request.quiet:
        tell({"stream": f"{image_id}\n"})
        return
    messages.say(f"Successfully built {image_id.removeprefix('sha256:')[:12]}")
    for name in names:
        messages.say(f"Successfully tagged {name.familiar_repository}:{name.tag or 'latest'}")


def _is_elsewhere(remote: str) -> bool:
    try:
        return is_remote(remote) or parse_git_url(remote, as_context=True) is not None
    except StepError:
        return True  # a repository, written wrongly: the build tells how


def _may_reuse(context: OperationContext, images: Sequence[str]) -> bool:
    """Whether steps of earlier builds are taken: with images named to take them of, where one of those is here."""
    if not images:
        return True
    with open_state(context.paths, durable=False) as connection:
        return any(find_named_image(connection, name) is not None for name in images)
