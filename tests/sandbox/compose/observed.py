"""Made-up containers, networks and volumes of a project, for what is planned from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.compose.names import CONFIG_HASH, NUMBER, ONE_OFF, PROJECT, SERVICE
from sandbox.compose.observe import Observed, ObservedContainer
from sandbox.compose.plan_shared import hash_of
from sandbox.container.model.record import Container, ContainerConfig, ContainerState
from sandbox.network.record import Network
from sandbox.stack.canonical import config_hash, image_of
from sandbox.stack.measures import Pairs
from sandbox.stack.request_names import container_name
from sandbox.values import EndpointRequest, MountPoint
from sandbox.volume.store import Volume

if TYPE_CHECKING:
    from sandbox.container.model.record import Status
    from sandbox.stack.project import Project


def container_of(
    project: Project,
    service: str,
    number: int = 1,
    *,
    name: str = "",
    status: Status = "running",
    health: str = "",
    labels: dict[str, str] | None = None,
    one_off: bool = False,
) -> ObservedContainer:
    """A container as the project would make it now."""
    asked = project.all_services.value(service)
    assert asked is not None
    networks = [project.networks.value(key) for key, _ in asked.networks or Pairs()]
    volumes = [
        project.volumes.value(each.source) for each in asked.volumes if not isinstance(each, str) and each.source
    ]
    all_labels = {
        PROJECT: project.name,
        SERVICE: service,
        NUMBER: str(number),
        ONE_OFF: str(one_off),
        CONFIG_HASH: config_hash(asked),
        **(labels or {}),
    }
    own = name or container_name(project, service, asked, number)
    config = ContainerConfig(
        image_of(project, service, asked),
        "sha256:1",
        (),
        ("true",),
        labels=tuple(sorted(all_labels.items())),
        endpoints=tuple(EndpointRequest(each.name) for each in networks if each is not None),
        mounts=tuple(MountPoint("volume", each.name, "/v") for each in volumes if each is not None),
    )
    record = Container(own.encode().hex().ljust(64, "f"), own, number, config, ContainerState(status, health=health))
    return ObservedContainer(record, service, number, one_off, all_labels)


def changed(container: ObservedContainer, **config: Any) -> ObservedContainer:  # Any: fields of a configuration
    """The container with something else in its configuration."""
    record = container.container
    return container._replace(container=record._replace(config=record.config._replace(**config)))


def observed(project: Project, *containers: ObservedContainer, **more: Any) -> Observed:  # Any: fields of it
    """The project with these containers; its networks, volumes and images are there."""
    images = {image_of(project, name, service): "sha256:1" for name, service in project.all_services}
    networks = {
        each.name: Network("n", each.name, "bridge", labels={PROJECT: project.name, CONFIG_HASH: hash_of(each)})
        for _, each in project.networks
    }
    volumes = {
        each.name: Volume(each.name, 0, {PROJECT: project.name, CONFIG_HASH: hash_of(each)}, False, {})
        for _, each in project.volumes
    }
    return Observed(project.name, containers, networks, volumes, images)._replace(**more)
