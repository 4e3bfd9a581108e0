"""What `run` and `create` do after the fork of the monitor: the record made, the container started, stayed with.

Imported while the monitor gets ready (see `monitor.spawn`), so what is heavy for a command may stand on top here.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from sandbox.cli.container_options.options import read_request
from sandbox.cli.container_options.reading import in_words_of_options
from sandbox.container.life.create import create_container
from sandbox.container.life.driver_choice import require_fuse, with_storage_driver
from sandbox.container.life.handshake import StartOptions, abandon, start_in_monitor
from sandbox.container.life.image_lookup import find_or_pull
from sandbox.container.life.naming import write_cidfile
from sandbox.container.model.store import find_container
from sandbox.container.monitor.limits import claim_cgroup, plan_container_limits
from sandbox.container.monitor.plan import Attachment
from sandbox.container.request.conflicts import require_command
from sandbox.container.request.image_defaults import ImageDefaults, read_image_defaults
from sandbox.container.request.merging import HostFacts, merge
from sandbox.named_tuple import NamedTuple
from sandbox.state import open_state

if TYPE_CHECKING:
    import sqlite3

    from sandbox.cli.command import Invocation
    from sandbox.cli.container_options.options import AttachedStreams
    from sandbox.container.life.naming import Identity
    from sandbox.container.life.publisher import Publisher
    from sandbox.container.model.record import Container
    from sandbox.container.monitor.limits import LimitPlan
    from sandbox.container.monitor.spawn import SpawnedMonitor
    from sandbox.container.request.merging import Merged
    from sandbox.container.request.request import ContainerRequest
    from sandbox.image.store import ImageRecord
    from sandbox.paths import Paths
    from sandbox.runtime.terminal import WindowSize
    from sandbox.values import MountPoint


#: uname(2) machine -> the platform that its images nearly always have, so that nothing need be imported to compare
_USUAL_PLATFORMS = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}


class RunRequest(NamedTuple):
    """What `run` has read from its options already."""

    identity: Identity
    attached: AttachedStreams
    detach_keys: bytes
    #: "" for none
    cidfile: str
    publisher: Publisher | None = None


def run_container(invocation: Invocation, paths: Paths, spawned: SpawnedMonitor, request: RunRequest) -> int:
    """Create the container, have the monitor start it and, unless -d was given, stay with it to its end."""
    container_id = request.identity.container_id
    try:
        container, plan = create_from_options(invocation, paths, request.identity)
        detached = invocation.flag("detach")
        limits = claim_cgroup(plan.limits, container_id, spawned.pid, invocation.context.env, detached=detached)
        if request.cidfile:
            write_cidfile(request.cidfile, container_id)
    except BaseException:
        abandon(spawned)
        raise
    window_size = _window_size() if invocation.flag("tty") else None
    options = StartOptions(Attachment(*request.attached), window_size, limits, request.publisher)
    start_in_monitor(paths, spawned, container, options)
    if request.publisher is not None:
        request.publisher.close()
    if invocation.flag("detach"):
        spawned.channel.close()
        invocation.context.print(container.id)
        return 0
    return _stay(invocation, spawned, container, request)


def create_from_options(invocation: Invocation, paths: Paths, identity: Identity) -> tuple[Container, LimitPlan]:
    """A new container as the command line asks for it, and how its limits are held. Raises SandboxError."""
    request = read_request(invocation)
    with open_state(paths, durable=not invocation.flag("rm")) as connection:
        mounts_of = _mounts_of(connection, request) if request.volumes_from else {}
        with in_words_of_options():
            # a slip in an option must not cost a download
            check = partial(merge, request, ImageDefaults(), HostFacts(mounts_of=mounts_of))
            image = find_or_pull(connection, paths, invocation, check)
            config, notes = _merge_with_image(request, image, mounts_of)
        if invocation.command.path != "container create":
            require_command(config)
        for note in notes:
            invocation.context.note(f"WARNING: {note}")
        config = with_storage_driver(connection, paths, config)
        if any(mount.mapped_user for mount in config.mounts):
            require_fuse("mount a directory with mapped owners (idmap)")
        plan = plan_container_limits(config, invocation.context.env)
        for note in plan.notes:
            invocation.context.note(f"WARNING: {note}")
        if not (invocation.text("platform") or invocation.context.env.get("DOCKER_DEFAULT_PLATFORM")):
            _note_platform(invocation, image.platform)
        _note_namesakes(invocation, connection)
        return create_container(connection, paths, identity, config, request), plan


def _mounts_of(connection: sqlite3.Connection, request: ContainerRequest) -> dict[str, tuple[MountPoint, ...]]:
    from sandbox.container.request.merged_mounts import containers_of

    return {name: find_container(connection, name).config.mounts for name in containers_of(request)}


def _merge_with_image(
    request: ContainerRequest, image: ImageRecord, mounts_of: dict[str, tuple[MountPoint, ...]]
) -> Merged:
    defaults = read_image_defaults(image.config, request.image)
    return merge(request, defaults, HostFacts(image.id, image.layers, image.platform, mounts_of))


def _note_platform(invocation: Invocation, platform: str) -> None:
    """Docker's warning where nobody asked for an image that this machine may not run."""
    if platform == _USUAL_PLATFORMS.get(os.uname().machine):
        return
    from sandbox.image.platforms import Platform, choose_platform, host_platform

    host, (system, architecture, variant) = host_platform(), [*platform.split("/"), "", ""][:3]
    # an image that does not say is taken for one of this machine's
    offered = Platform(system, architecture, variant)
    if system and architecture and choose_platform(host, [offered]) is None:
        invocation.context.note(
            f"WARNING: The requested image's platform ({platform}) does not match the detected host platform ({host})"
            " and no specific platform was requested"
        )


def _note_namesakes(invocation: Invocation, connection: sqlite3.Connection) -> None:
    """Docker makes a volume of `-v app:/src` also where a directory `app` is at hand, which was most likely meant."""
    for text in dict.fromkeys(invocation.texts("volume")):
        name, colon, rest = text.partition(":")
        cwd = invocation.context.cwd
        if not colon or not cwd.path or "/" in name or name.startswith(".") or not os.path.isdir(cwd.absolute(name)):
            continue
        if connection.execute("SELECT 1 FROM volume WHERE name = ?", (name,)).fetchone() is None:
            invocation.context.note(
                f"Note: {name} is a new volume here, not the directory ./{name}, which would be -v ./{name}:{rest}"
            )


def _window_size() -> WindowSize | None:
    from sandbox.runtime.terminal import get_window_size

    return get_window_size(0)


def _stay(invocation: Invocation, spawned: SpawnedMonitor, container: Container, request: RunRequest) -> int:
    # while the container's program starts
    from sandbox.cli.joining import STANDARD_STREAMS
    from sandbox.container import operations

    joined = operations.Joined(container, spawned.channel, request.attached.stdin)
    joining = operations.Joining(
        STANDARD_STREAMS, request.attached.stdin, invocation.flag("sig-proxy"), request.detach_keys
    )
    return operations.carry(invocation.context.for_operations(), joined, joining) or 0
