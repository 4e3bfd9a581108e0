"""The request for the replicas of a stack's service: Compose's container, without what one container alone can have."""

from __future__ import annotations

from sandbox.stack.measures import Pairs
from sandbox.stack.model import ServiceNetwork, Volume
from sandbox.stack.project import FileObject
from sandbox.stack.request import request_of
from sandbox.stack.request_mounts import bind_text, fits_text, mount_of
from sandbox.values import EndpointRequest, FileGrant, MountRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.container.request.request import ContainerRequest
    from sandbox.stack.asked_service import AskedService
    from sandbox.stack.project import Project

#: the label of all that belongs to a stack
NAMESPACE = "com.docker.stack.namespace"
_SHARED = ("network_mode", "pid", "ipc", "uts")


def replica_request(asked: AskedService) -> ContainerRequest:
    """The request, without a name. Grants name their objects. Raises ComposeFileError."""
    name, project, service = asked
    for key in _SHARED:
        text = getattr(service, key)
        if text.startswith("service:"):
            raise asked.error(
                key,
                f"{text!r} is one container of another service, and those of a stack come and go",
                mend="sandbox compose up, which shares namespaces between containers",
            )
    named = project._replace(secrets=_as_external(project.secrets), configs=_as_external(project.configs))
    request = request_of(name, named)
    return request._replace(
        name=None,
        restart=None,
        published_ports=(),
        attached=(),
        labels=tuple(sorted({**dict(service.labels), NAMESPACE: project.name}.items())),
        endpoints=() if request.network_mode else _endpoints(asked),
        binds=tuple(_binds(asked)),
        mounts=tuple(_mounts(asked)),
        volumes_from=tuple(text.removeprefix("container:") for text in service.volumes_from if _is_outside(text)),
        secrets=tuple(map(_below_secrets, request.secrets)),
    )


def _is_outside(text: str) -> bool:
    return text.startswith("container:")


def _endpoints(asked: AskedService) -> tuple[EndpointRequest, ...]:
    """The networks, by name; each has the service's own name as an alias, and the one that a container would have."""
    name, project, service = asked
    found = []
    for key, each in service.networks or Pairs():
        network, own = project.networks.value(key), each or ServiceNetwork()
        if own.ipv4_address or own.ipv6_address:
            raise asked.error(
                f"networks.{key}",
                "an address is one container's, and a stack's services have several one after another",
            )
        names = (*own.aliases, *([service.container_name] if service.container_name else ()), *_asked_for(asked), name)
        found.append(
            EndpointRequest(
                network.name if network is not None else key,
                aliases=tuple(dict.fromkeys(names)),
                driver_options=tuple(own.driver_opts),
                gateway_priority=own.gw_priority,
            )
        )
    return tuple(sorted(found, key=lambda endpoint: (-endpoint.gateway_priority, endpoint.network)))


def _asked_for(asked: AskedService) -> Iterator[str]:
    """The names that links of other services give to this one."""
    for _, other in asked.project.services:
        for link in other.links:
            target, _, alias = link.partition(":")
            if target == asked.name and alias:
                yield alias


def _volumes_of(asked: AskedService) -> Iterator[Volume]:
    """The mounts, and those of the services that it takes them from."""
    targets = set()
    for volume in asked.service.volumes:
        if isinstance(volume, Volume):
            targets.add(volume.target)
            yield volume
    for text in asked.service.volumes_from:
        if _is_outside(text):
            continue
        other, _, mode = text.partition(":")
        source = asked.project.services.value(other)
        for volume in source.volumes if source is not None else ():
            # a volume without a name would be another one
            if isinstance(volume, Volume) and volume.source and volume.target not in targets:
                yield volume._replace(read_only=volume.read_only or mode == "ro")


def _binds(asked: AskedService) -> Iterator[str]:
    for volume in _volumes_of(asked):
        if fits_text(volume) and not _is_named(volume):
            yield bind_text(asked.project, volume)


def _mounts(asked: AskedService) -> Iterator[MountRequest]:
    for volume in _volumes_of(asked):
        if _is_named(volume):
            yield _named_volume(asked.project, volume)
        elif not fits_text(volume):
            yield mount_of(asked.project, volume)


def _is_named(volume: Volume) -> bool:
    return volume.type == "volume" and bool(volume.source)


def _named_volume(project: Project, volume: Volume) -> MountRequest:
    """A volume of the stack: a replica that finds none makes it as the file says."""
    request = mount_of(project, volume)
    described = project.volumes.value(volume.source)
    if described is None or described.external:
        return request
    labels = {**dict(described.labels), NAMESPACE: project.name}
    return request._replace(
        labels=tuple(sorted({**labels, **dict(request.labels)}.items())),
        driver=described.driver,
        driver_options=tuple(described.driver_opts),
    )


def _as_external(objects: Pairs[FileObject]) -> Pairs[FileObject]:
    """Secrets or configs of which a service has but the names."""
    plain = FileObject(external=True)
    return Pairs.of((key, plain._replace(name=found.name)) for key, found in objects)


def _below_secrets(grant: FileGrant) -> FileGrant:
    """The grant of a secret with its target as Docker writes it: below the directory of secrets."""
    return grant._replace(target=grant.target.removeprefix("/run/secrets/"))
