"""Whether a container is still what its service says, and what tells that it is not. Pure."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple
from sandbox.stack.canonical import config_hash, image_of
from sandbox.stack.measures import Pairs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.compose.observe import Observed, ObservedContainer
    from sandbox.stack.model import Service
    from sandbox.stack.project import Project

_SERVICE = "service:"


class Expected(NamedTuple):
    """What the containers of a service are held against."""

    config_hash: str
    #: "" where the image is not known to be here
    image_id: str
    #: names
    networks: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


def expected_of(project: Project, observed: Observed, name: str, service: Service) -> Expected:
    """What each container of the service is to be like."""
    networks = [project.networks.value(key) for key, _ in service.networks or Pairs()]
    return Expected(
        config_hash(service),
        observed.images.get(image_of(project, name, service), ""),
        tuple(each.name for each in networks if each is not None),
        tuple(_volumes_of(project, service)),
    )


def _volumes_of(project: Project, service: Service) -> Iterator[str]:
    for volume in service.volumes:
        if not isinstance(volume, str) and volume.type == "volume" and volume.source:
            named = project.volumes.value(volume.source)
            yield named.name if named is not None else volume.source


def divergence(container: ObservedContainer, expected: Expected) -> str:
    """Why the container is to be made again; "" where it is as it should be. A network that is made again is none: a
    container is on its networks by their names.
    """
    if container.config_hash != expected.config_hash:
        return "config hash diverged"
    config = container.container.config
    if expected.image_id and config.image_id != expected.image_id:
        return "image changed"
    # one that does not run is put on its networks when it starts
    if container.status == "running":
        own = {endpoint.network for endpoint in config.endpoints}
        for name in expected.networks:
            if name not in own:
                return f"not on network {name}"
    mounted = {mount.source for mount in config.mounts if mount.kind == "volume"}
    for name in expected.volumes:
        if name not in mounted:
            return f"volume {name} is not mounted"
    return ""


def shared_services(service: Service) -> tuple[str, ...]:
    """The services whose namespaces or volumes it shares: each of its containers is tied to one container of those."""
    return tuple(dict.fromkeys(other for _, other in shared_parts(service)))


def shared_parts(service: Service) -> Iterator[tuple[str, str]]:
    """What it shares, and with which service."""
    modes = {
        "network namespace": service.network_mode,
        "IPC namespace": service.ipc,
        "PID namespace": service.pid,
        "UTS namespace": service.uts,
    }
    for what, mode in modes.items():
        if mode.startswith(_SERVICE):
            yield what, mode.removeprefix(_SERVICE)
    for each in service.volumes_from:
        if not each.startswith("container:"):
            yield "volume", each.partition(":")[0]
