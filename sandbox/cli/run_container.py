"""What `run` and `create` do after the fork of the monitor: the record made, the container started, stayed with.

Imported while the monitor gets ready (see `monitor.spawn`), so what is heavy for a command may stand on top here.
"""

from __future__ import annotations

import os

import sandbox.container.life.creation  # noqa: F401  every `run` makes a container
from sandbox.cli.container_options.options import read_request
from sandbox.cli.container_options.reading import in_words_of_options
from sandbox.container import operations
from sandbox.container.life.handshake import StartOptions, abandon
from sandbox.container.life.naming import write_cidfile
from sandbox.container.monitor.plan import Attachment
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.cli.container_options.options import AttachedStreams
    from sandbox.container.life.creation import Created
    from sandbox.container.life.naming import Identity
    from sandbox.container.model.record import Container
    from sandbox.container.monitor.spawn import SpawnedMonitor
    from sandbox.container.request.request import ContainerRequest
    from sandbox.image.transfer.progress import Progress
    from sandbox.paths import Paths
    from sandbox.runtime.terminal import WindowSize


class RunRequest(NamedTuple):
    """What `run` has read from its options already."""

    identity: Identity
    attached: AttachedStreams
    detach_keys: bytes
    #: "" for none
    cidfile: str


def run_container(invocation: Invocation, paths: Paths, spawned: SpawnedMonitor, request: RunRequest) -> int:
    """Create the container, have the monitor start it and, unless -d was given, stay with it to its end."""
    context = invocation.context.for_operations()
    try:
        created = create_from_options(invocation, request.identity, needs_command=True)
        if request.cidfile:
            write_cidfile(request.cidfile, created.container.id)
    except BaseException:
        abandon(spawned)
        raise
    window_size = _window_size() if invocation.flag("tty") else None
    options = StartOptions(Attachment(*request.attached), window_size)
    operations.start_created(context, created, spawned, options)
    if invocation.flag("detach"):
        spawned.channel.close()
        invocation.context.print(created.container.id)
        return 0
    return _stay(invocation, spawned, created.container, request)


def create_from_options(invocation: Invocation, identity: Identity, *, needs_command: bool) -> Created:
    """A new container as the command line asks for it; what is to be known of it is noted. Raises SandboxError."""
    request = read_request(invocation)
    if any("/docker.sock" in text for text in (*request.binds, *(mount.source for mount in request.mounts))):
        from sandbox.cli.api_socket import serve_container

        serve_container(invocation.context, request)
    context = invocation.context.for_operations(lambda: _open_progress(invocation, request))
    with in_words_of_options():
        created = operations.create(context, request, identity, needs_command=needs_command)
    for warning in created.warnings:
        invocation.context.note(f"WARNING: {warning}")
    _note_namesakes(invocation, created.new_volumes)
    return created


def _open_progress(invocation: Invocation, request: ContainerRequest) -> Progress:
    from sandbox.image.transfer.progress import choose_progress  # where there is something to pull

    context = invocation.context
    if request.pull_policy in (None, "missing"):
        context.note(f"Unable to find image '{_with_tag(request.image)}' locally")
    # all of it on standard error: what `run` prints on standard output is the container's, or its id
    return choose_progress(context.stderr, context.stderr, context.env, quiet=invocation.flag("quiet"))


def _with_tag(text: str) -> str:
    from sandbox.image.references import parse_reference

    reference = parse_reference(text)
    return text if reference.tag or reference.digest else f"{text}:latest"


def _note_namesakes(invocation: Invocation, volumes: tuple[str, ...]) -> None:
    """Docker makes a volume of `-v app:/src` also where a directory `app` is at hand, which was most likely meant."""
    for text in dict.fromkeys(invocation.texts("volume")) if volumes else ():
        name, colon, rest = text.partition(":")
        cwd = invocation.context.cwd
        if colon and cwd.path and name in volumes and not name.startswith(".") and os.path.isdir(cwd.absolute(name)):
            invocation.context.note(
                f"Note: {name} is a new volume here, not the directory ./{name}, which would be -v ./{name}:{rest}"
            )


def _window_size() -> WindowSize | None:
    from sandbox.runtime.terminal import get_window_size

    return get_window_size(0)


def _stay(invocation: Invocation, spawned: SpawnedMonitor, container: Container, request: RunRequest) -> int:
    # while the container's program starts
    from sandbox.container.session.attach import Streams

    joined = operations.Joined(container, spawned.channel, request.attached.stdin)
    joining = operations.Joining(
        Streams(0, 1, 2), request.attached.stdin, invocation.flag("sig-proxy"), request.detach_keys
    )
    return operations.carry(invocation.context.for_operations(), joined, joining) or 0
