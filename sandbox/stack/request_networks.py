"""Networks and ports of a service, as its containers ask for them."""

from __future__ import annotations

from sandbox.grammar.endpoint_options import IFNAME
from sandbox.stack.consistency import place_of
from sandbox.stack.errors import problem
from sandbox.stack.measures import Pairs
from sandbox.stack.model import ServiceNetwork
from sandbox.stack.request_names import container_name, shared_namespace
from sandbox.values import EndpointRequest, PublishedPort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.model import Port, Service
    from sandbox.stack.project import Project


def network_mode_of(project: Project, service: Service) -> str | None:
    """host, none, bridge or container:NAME; None where networks are named."""
    return shared_namespace(project, service.network_mode) or None


def endpoints_of(name: str, project: Project, service: Service, own_name: str) -> tuple[EndpointRequest, ...]:
    """The networks of a container, the one of the highest priority first; its names on each.

    None where `network_mode` says all; with links, the default network.
    """
    links = tuple(_links(project, service))
    mode = network_mode_of(project, service)
    if mode:
        return (EndpointRequest(mode, links=links),) if mode == "bridge" and links else ()
    networks = [(key, each or ServiceNetwork()) for key, each in service.networks or Pairs()]
    networks.sort(key=lambda pair: (-pair[1].priority, pair[0]))
    found = []
    for position, (key, each) in enumerate(networks):
        network = project.networks.value(key)
        found.append(
            EndpointRequest(
                network.name if network is not None else key,
                aliases=(own_name, name, *each.aliases),
                driver_options=(*each.driver_opts, *_named(each)),
                links=links,
                ipv4_address=each.ipv4_address,
                ipv6_address=each.ipv6_address,
                link_local_addresses=each.link_local_ips,
                mac_address=each.mac_address or (service.mac_address if position == 0 else ""),
                gateway_priority=each.gw_priority,
            )
        )
    return tuple(found)


def _named(network: ServiceNetwork) -> Iterator[tuple[str, str]]:
    if network.interface_name:
        yield IFNAME, network.interface_name


def _links(project: Project, service: Service) -> list[str]:
    found = []
    for link in service.links:
        other, _, alias = link.partition(":")
        found.append(f"{container_name(project, other, project.all_services.value(other), 1)}:{alias or other}")
    return found


def ports_of(name: str, project: Project, service: Service) -> tuple[PublishedPort, ...]:
    """The published ports. Raises ComposeFileError for one that cannot be published here."""
    return tuple(
        _port(project, port, f"services.{name}.ports[{number}]")
        for number, port in enumerate(service.ports)
        if not isinstance(port, str)
    )


def _port(project: Project, port: Port, path: str) -> PublishedPort:
    place = place_of(project.places, path)
    if port.protocol not in ("tcp", "udp"):
        raise problem(place, path, f"ports of {port.protocol} cannot be published", mend="protocol: tcp, or udp")
    first, dash, last = port.published.partition("-")
    numbers = [text for text in (first, last) if text]
    if not all(text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 65536 for text in numbers):
        raise problem(place, f"{path}.published", f"{port.published!r} is neither a port nor a range of ports")
    protocol = "udp" if port.protocol == "udp" else "tcp"
    return PublishedPort(
        port.host_ip, int(first or 0), port.target, "udp" if protocol == "udp" else "tcp", int(last) if dash else 0
    )
