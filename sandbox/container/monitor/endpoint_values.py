"""A container's places on networks as records, in the values that `net` takes: wires, names, where ports lead to."""

from __future__ import annotations

import os

from net.keeper_protocol import KeeperMember
from net.names import ContainerNames, NamedEndpoint
from sandbox.container.model.hostname import hostname_of
from sandbox.network.record import dns_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from net.networks import EndpointSettings
    from net.shaping import Shaping
    from sandbox.container.model.record import Container
    from sandbox.network.record import Endpoint


#: Docker's label of a container that is a service's
SERVICE_LABEL = "com.docker.swarm.service.id"


def settings_of(endpoint: Endpoint) -> EndpointSettings:
    """The wire to be made."""
    return endpoint.settings()


def wants_way_out(endpoints: Sequence[Endpoint]) -> bool:
    """Whether any of the networks leads out of this machine."""
    return any(not endpoint.network.internal for endpoint in endpoints)


def keeper_member(container: Container, endpoints: Sequence[Endpoint], *, serves: bool = True) -> KeeperMember:
    """What the keeper is told of a container; `serves` is whether names of its service lead to it."""
    named = tuple(_named(container, endpoint, serves=serves) for endpoint in endpoints)
    own: tuple[tuple[str, str], ...] = ()
    if container.config.host_ports:
        from net.host_access import HOST_ADDRESS, HOST_NAMES  # few containers reach the host

        own = tuple((name, HOST_ADDRESS) for name in HOST_NAMES)
    egress = egress_of(container, endpoints)
    names = ContainerNames(named, container.config.dns, own, egress, _links(endpoints))
    return KeeperMember(container.id, os.getpid(), names, wants_way_out(endpoints))


def _links(endpoints: Sequence[Endpoint]) -> tuple[tuple[str, str], ...]:
    texts = (text.partition(":") for endpoint in endpoints for text in endpoint.links)
    return tuple((alias, name) for name, _, alias in texts)


def egress_of(container: Container, endpoints: Sequence[Endpoint]) -> tuple[tuple[str, ...], ...]:
    """The texts of rules that all must allow what it reaches: its own, and of each of its networks that has any."""
    sources = (container.config.egress, *(endpoint.network.egress for endpoint in endpoints))
    return tuple(texts for texts in sources if texts)


def service_of(container: Container) -> str:
    """The id of the service whose container it is; "" of any other container."""
    return dict(container.config.labels).get(SERVICE_LABEL, "")


def _named(container: Container, endpoint: Endpoint, *, serves: bool) -> NamedEndpoint:
    network, service = endpoint.network, service_of(container)
    # those are of all containers of a service together
    own_aliases = () if service else endpoint.aliases
    return NamedEndpoint(
        network.id, network.name, endpoint.address4, endpoint.address6, network.subnet4, network.subnet6,
        dns_names(own_aliases, container.name, container.id[:12], hostname_of(container)), network.internal,
        settings_of(endpoint).host_interface, service, endpoint.aliases if service else (), serves,
    )  # fmt: skip


def shaping_of(container: Container) -> Shaping:
    """How slow its wires are to be."""
    from net.shaping import parse_shaping  # few containers are slowed

    config = container.config
    return parse_shaping(config.net_rate, config.net_delay, config.net_loss)
