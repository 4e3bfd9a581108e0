"""A build in a worker, for the classic builder's clients."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from sandbox.api.documents.build_messages import BuildMessages, failure_message
from sandbox.api.session import recorded_in
from sandbox.builder.build_image import BuildOptions, build_image
from sandbox.builder.request import RunSettings
from sandbox.builder.results.exporting import ExportRequest
from sandbox.builder.results.outputs import read_outputs
from sandbox.caller_directory import CallerDirectory
from sandbox.docker_proxies import find_proxies
from sandbox.dockerfile.errors import DockerfileError
from sandbox.image.references import parse_reference

if TYPE_CHECKING:
    from collections.abc import Callable

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
    messages = BuildMessages(tell, quiet=request.quiet)
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
        no_cache=request.no_cache,
        pull=request.pull,
        labels=request.labels,
        proxies=find_proxies(context.env, messages.say),
        network="default" if request.network == "bridge" else request.network,
        platform=request.platform,
        settings=RunSettings(request.extra_hosts, request.shm_size_bytes),
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
        messages.say(f"Successfully tagged {name.familiar}")
