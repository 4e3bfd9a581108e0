"""A container as a request asks for it: its image found or pulled, the request merged with that, its record made."""

from __future__ import annotations

import os

from sandbox.container.life.create import create_container
from sandbox.container.life.driver_choice import require_fuse, with_storage_driver
from sandbox.container.life.image_lookup import ensure_image
from sandbox.container.model.store import find_container
from sandbox.container.monitor.limits import claim_cgroup, plan_container_limits
from sandbox.container.request.conflicts import require_command
from sandbox.container.request.image_defaults import ImageDefaults, read_image_defaults
from sandbox.container.request.merging import HostFacts, merge
from sandbox.named_tuple import NamedTuple
from sandbox.network.requested import DEFAULT_NETWORK
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping

    from sandbox.container.life.naming import Identity
    from sandbox.container.model.record import Container, ContainerConfig
    from sandbox.container.monitor.plan import Limits
    from sandbox.container.request.request import ContainerRequest
    from sandbox.operation_context import OperationContext
    from sandbox.paths import Paths
    from sandbox.values import MountPoint

#: uname(2) machine -> the platform that its images nearly always have, so that nothing need be imported to compare
_USUAL_PLATFORMS = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}


class Created(NamedTuple):
    """A new container, how its limits are held, and what the one who asked for it should know."""

    container: Container
    limits: Limits
    #: a sentence each
    warnings: tuple[str, ...] = ()
    #: names of volumes that were made for it because there were none
    new_volumes: tuple[str, ...] = ()


def create_requested(
    context: OperationContext, request: ContainerRequest, identity: Identity, *, needs_command: bool
) -> Created:
    """Make the container; its image is pulled as the request's policy says, after it has been checked otherwise.

    With `needs_command` one that has nothing to execute is refused. Raises SandboxError, and then nothing was made.
    """
    with open_state(context.paths, durable=not request.auto_remove) as connection:
        mounts_of = _mounts_of(connection, request) if request.volumes_from else {}

        may_lack = bool(request.later_networks)

        # a slip in a request must not cost a download
        def check() -> object:
            config, _notes = merge(request, ImageDefaults(), HostFacts(mounts_of=mounts_of))
            return _with_networks(connection, context.paths, config, may_lack=may_lack)

        contents: list[bytes] = []
        if request.secrets or request.configs:
            from sandbox.container.request.merged_grants import without_contents
            from sandbox.secret.grants import contents_of

            contents = contents_of(connection, context.paths, request.secrets, request.configs)
            request = without_contents(request)
        image = ensure_image(connection, context, request, check)
        defaults = read_image_defaults(image.config, request.image)
        config, notes = merge(request, defaults, HostFacts(image.id, image.layers, image.platform, mounts_of))
        if needs_command:
            require_command(config)
        if any(mount.source.endswith("/docker.sock") for mount in config.mounts):
            from sandbox.container.life.docker_socket import with_own_socket

            config = with_own_socket(context.paths, config)
        config = _with_networks(connection, context.paths, config, may_lack=may_lack)
        config = with_storage_driver(connection, context.paths, config)
        if any(mount.mapped_user for mount in config.mounts):
            require_fuse("mount a directory with mapped owners (idmap)")
        plan = plan_container_limits(config, context.env)
        if not (request.platform or context.env.get("DOCKER_DEFAULT_PLATFORM")):
            notes = (*notes, *_platform_notes(image.platform))
        notes = (*notes, *_network_notes(request, config))
        volumes = tuple(_unknown_volumes(connection, config))
        container = create_container(connection, context.paths, identity, config, request, contents)
    limits = plan.limits
    if identity.monitor_pid:
        # the one who asks is detached where it connects to no stream
        detached = not request.attached
        limits = claim_cgroup(limits, container.id, identity.monitor_pid, context.env, detached=detached)
    return Created(container, limits, (*notes, *plan.notes), volumes)


def _mounts_of(connection: sqlite3.Connection, request: ContainerRequest) -> Mapping[str, tuple[MountPoint, ...]]:
    from sandbox.container.request.merged_mounts import containers_of

    return {name: find_container(connection, name).config.mounts for name in containers_of(request)}


def _with_networks(
    connection: sqlite3.Connection, paths: Paths, config: ContainerConfig, *, may_lack: bool
) -> ContainerConfig:
    """The configuration, of which every network is there, and can do what is asked of it, the default one settled; with
    `may_lack` one that is not there is looked for at the start.
    """
    asked = config
    if config.network == "default":
        from sandbox.network.default import with_default_network

        config = with_default_network(paths, config)
    if config.net_rate or config.net_delay or config.net_loss:
        from sandbox.network.requested import require_shapeable

        require_shapeable(config)
    # the default one is there, and can do all but take aliases
    if not config.endpoints or (asked.network == "default" and not asked.network_aliases):
        return config
    from sandbox.network.joining import with_known_networks

    return with_known_networks(connection, config, may_lack=may_lack)


def _network_notes(request: ContainerRequest, config: ContainerConfig) -> Iterator[str]:
    """What is told of a container that is on no bridge, though it was said in so many words that it shall be."""
    asked = (request.network_mode, *(endpoint.network for endpoint in request.endpoints))
    if config.network == "default" and DEFAULT_NETWORK in asked:
        yield (
            f"no network {DEFAULT_NETWORK}: this host lets no user have bridges, or they have no way out, so the"
            " container has a network of its own behind slirp4netns, without others' names"
            "; sandbox doctor bridge says why"
        )


def _unknown_volumes(connection: sqlite3.Connection, config: ContainerConfig) -> Iterator[str]:
    for mount in config.mounts:
        if mount.kind == "volume" and mount.source:
            query = "SELECT 1 FROM volume WHERE name = ?"
            if connection.execute(query, (mount.source,)).fetchone() is None:
                yield mount.source


def _platform_notes(platform: str) -> Iterator[str]:
    """Docker's warning where nobody asked for an image that this machine may not run."""
    if platform == _USUAL_PLATFORMS.get(os.uname().machine):
        return
    from sandbox.image.platforms import Platform, choose_platform, host_platform

    host, (system, architecture, variant) = host_platform(), [*platform.split("/"), "", ""][:3]
    # an image that does not say is taken for one of this machine's
    offered = Platform(system, architecture, variant)
    if system and architecture and choose_platform(host, [offered]) is None:
        yield (
            f"The requested image's platform ({platform}) does not match the detected host platform ({host})"
            " and no specific platform was requested"
        )
