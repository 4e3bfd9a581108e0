"""Steps as what a worker is asked to do, and the words for them. Pure."""

from __future__ import annotations

from sandbox.compose.hook_requests import post_start, pre_start, pre_stop
from sandbox.compose.names import CONFIG_HASH, NETWORK, PROJECT, REPLACE, VERSION, VOLUME, short_name
from sandbox.compose.plan_shared import hash_of
from sandbox.named_tuple import NamedTuple
from sandbox.stack.canonical import image_of
from sandbox.stack.request import COMPOSE_VERSION, Instance, request_of
from sandbox.warm.line import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.compose.steps import Step
    from sandbox.container.request.request import ContainerRequest
    from sandbox.network.create import NetworkRequest
    from sandbox.operation_context import OperationContext
    from sandbox.stack.project import NamedVolume, Network, Project
    from sandbox.values import EndpointRequest
    from sandbox.volume.operations import VolumeRequest

#: what is said when a step begins, and when it is done
STEP_WORDS: dict[str, tuple[str, str]] = {
    "create_network": ("Creating", "Created"),
    "remove_network": ("Removing", "Removed"),
    "create_volume": ("Creating", "Created"),
    "remove_volume": ("Removing", "Removed"),
    "remove_image": ("Removing", "Removed"),
    "create": ("Creating", "Created"),
    "recreate": ("Recreate", "Recreated"),
    "rename": ("Recreate", "Recreated"),
    "pre_start": ("Starting", "Exited"),
    "start": ("Starting", "Started"),
    "stop": ("Stopping", "Stopped"),
    "kill": ("Killing", "Killed"),
    "restart": ("Restarting", "Started"),
    "remove": ("Stopping", "Removed"),
    "wait": ("Waiting", "Healthy"),
}
_NOUNS = {"network": "Network", "volume": "Volume"}


class Work(NamedTuple):
    """What the requests of a run are made of."""

    context: OperationContext
    project: Project | None = None
    #: ids of images by the names that services have for them
    images: Mapping[str, str] = {}
    #: names of the containers that there are, or will be
    containers: frozenset[str] = frozenset()
    renews_volumes: bool = False


def subject_of(step: Step) -> str:
    """What a step is about, as it is called on the screen: an image with its tag."""
    if step.kind == "remove_image":
        from sandbox.image.references import DEFAULT_TAG, parse_reference

        reference = parse_reference(step.name)
        return f"Image {reference.familiar}" + ("" if reference.tag or reference.digest else f":{DEFAULT_TAG}")
    return f"{_NOUNS.get(step.kind.partition('_')[2], 'Container')} {step.name}"


def work_of(work: Work, step: Step) -> Request:
    """What a worker is asked to do. Raises ComposeFileError."""
    context = work.context
    arguments: tuple[object, ...]
    named: dict[str, object] = {}
    if step.kind == "create":
        arguments = (container_request(work, step),)
    elif step.kind == "recreate":
        arguments = (container_request(work, step), step.container_id, step.successor_id)
        named = {
            "timeout_seconds": step.timeout_seconds,
            "renews_volumes": work.renews_volumes,
            "hooks": pre_stop(work.project, step.service),
        }
    elif step.kind == "rename":
        arguments = (step.container_id, step.name)
    elif step.kind == "pre_start":
        assert work.project is not None
        arguments = (pre_start(work.project, step.service, step.number, _image_id(work, step.service)),)
    elif step.kind in ("stop", "restart", "remove"):
        arguments = (step.container_id,)
        named = {"timeout_seconds": step.timeout_seconds, "hooks": pre_stop(work.project, step.service)}
        named |= {"volumes": step.flag} if step.kind == "remove" else {}
        named |= {"started": post_start(work.project, step.service)} if step.kind == "restart" else {}
    elif step.kind == "create_network":
        arguments = (_network_request(work, step),)
    elif step.kind == "create_volume":
        arguments = (_volume_request(work, step),)
    else:
        arguments = (step.container_id or step.name,)
        named = {"hooks": post_start(work.project, step.service)} if step.kind == "start" else {}
    return Request(step.kind, (context, *arguments), named, context.env)


def container_request(work: Work, step: Step) -> ContainerRequest:
    """The request for a container of a service. Raises ComposeFileError."""
    project = work.project
    assert project is not None
    service = project.services.value(step.service)
    assert service is not None
    request = request_of(step.service, project, Instance(step.number, _image_id(work, step.service)))
    if step.kind == "recreate":
        replaced = service.container_name or short_name(project.name, step.name)
        request = request._replace(labels=tuple(sorted((*request.labels, (REPLACE, replaced)))))
    request = request._replace(endpoints=tuple(_with_links(work, endpoint) for endpoint in request.endpoints))
    # it is here, or was pulled before: what `always` means is not once for each container
    return request._replace(name=step.name, pull_policy="missing")


def _image_id(work: Work, name: str) -> str:
    """The id of the service's image; "" where it is not known to be here."""
    service = work.project.services.value(name) if work.project is not None else None
    assert work.project is not None
    assert service is not None
    return work.images.get(image_of(work.project, name, service), "")


def _with_links(work: Work, endpoint: EndpointRequest) -> EndpointRequest:
    """Only to containers that are there: those of a service that is off need not be."""
    links = tuple(link for link in endpoint.links if link.partition(":")[0] in work.containers)
    return endpoint if links == endpoint.links else endpoint._replace(links=links)


def _network_request(work: Work, step: Step) -> NetworkRequest:
    from net.subnets import AskedSubnet
    from sandbox.network.create import NetworkRequest

    network = _network(work, step)
    subnets = tuple(
        AskedSubnet(pool.subnet, pool.gateway, pool.ip_range, tuple(pool.aux_addresses))
        for pool in network.ipam.config
        if pool.subnet
    )
    return NetworkRequest(
        network.name,
        network.driver or "bridge",
        subnets,
        network.enable_ipv4,
        network.enable_ipv6,
        network.internal,
        network.attachable,
        tuple(network.driver_opts),
        _labels(work, network.labels, NETWORK, step.service, hash_of(network)),
        network.ipam.driver or "default",
    )


def _network(work: Work, step: Step) -> Network:
    found = work.project.networks.value(step.service) if work.project is not None else None
    assert found is not None
    return found


def _volume_request(work: Work, step: Step) -> VolumeRequest:
    from sandbox.volume.operations import VolumeRequest

    volume: NamedVolume | None = work.project.volumes.value(step.service) if work.project is not None else None
    assert volume is not None
    labels = _labels(work, volume.labels, VOLUME, step.service, hash_of(volume))
    return VolumeRequest(volume.name, labels, volume.driver or "local", tuple(volume.driver_opts))


def _labels(
    work: Work, own: tuple[tuple[str, str], ...], key: str, name: str, digest: str
) -> tuple[tuple[str, str], ...]:
    assert work.project is not None
    ours = {key: name, PROJECT: work.project.name, CONFIG_HASH: digest, VERSION: COMPOSE_VERSION}
    return tuple(sorted({**dict(own), **ours}.items()))
