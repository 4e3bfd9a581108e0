"""A network as Docker's document."""

from __future__ import annotations

from net.networks import DEFAULT_MTU, bridge_name
from sandbox.humane import rfc3339
from sandbox.network.record import bridge_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sandbox.network.record import Endpoint, Network

    Document = dict[str, Any]  # Any: JSON


def describe_network(network: Network, endpoints: Sequence[Endpoint], names: Mapping[str, str]) -> Document:
    """What `docker network inspect` prints of it; `names` are those of containers, by id."""
    guests = {one.container_id: _guest(one, names.get(one.container_id, "")) for one in endpoints}
    if not network.is_bridged:
        guests = {
            container_id: _guest_without_wire(network, container_id, names[container_id]) for container_id in names
        }
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": rfc3339(network.created_ns),
        "Scope": network.scope,
        "Driver": network.driver,
        "EnableIPv4": not network.is_bridged or bool(network.subnet4),
        "EnableIPv6": bool(network.subnet6),
        "IPAM": {"Driver": "default", "Options": network.ipam_options, "Config": _pools(network)},
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": guests,
        "Options": _options(network),
        "Labels": dict(sorted(network.labels.items())),
        **({"Egress": list(network.egress)} if network.egress else {}),
    }


def describe_bridge(network: Network) -> Document:
    """What only this engine tells. Raises NetError."""
    from net.host_routes import read_busy  # for a look behind it only
    from net.subnets import overlapping

    settings, busy = bridge_settings(network), read_busy()
    hidden = [overlapping(subnet, busy) for subnet in (network.subnet4, network.subnet6) if subnet]
    return {"Bridge": {"Name": settings.name, "MTU": settings.mtu, "Hides": [what for what in hidden if what]}}


def _pools(network: Network) -> list[Document] | None:
    if not network.is_bridged:
        return None
    found = []
    for subnet, gateway, part, is_6 in (
        (network.subnet4, network.gateway4, network.range4, False),
        (network.subnet6, network.gateway6, network.range6, True),
    ):
        kept = {name: address for name, address in network.auxiliary.items() if (":" in address) == is_6}
        if subnet:
            found.append(
                {
                    "Subnet": subnet,
                    **({"IPRange": part} if part else {}),
                    "Gateway": gateway,
                    **({"AuxiliaryAddresses": kept} if kept else {}),
                }
            )
    return found


def _guest(endpoint: Endpoint, name: str) -> Document:
    return {
        "Name": name,
        "EndpointID": endpoint.id,
        "MacAddress": endpoint.mac,
        "IPv4Address": f"{endpoint.address4}/{endpoint.prefix4}" if endpoint.address4 else "",
        "IPv6Address": f"{endpoint.address6}/{endpoint.prefix6}" if endpoint.address6 else "",
    }


def _guest_without_wire(network: Network, container_id: str, name: str) -> Document:
    """Of a container on the host's network, or on none: Docker has an endpoint of it, of no addresses."""
    from hashlib import sha256  # for those two networks

    endpoint = sha256(f"{network.id} {container_id}".encode()).hexdigest()
    return {"Name": name, "EndpointID": endpoint, "MacAddress": "", "IPv4Address": "", "IPv6Address": ""}


def _options(network: Network) -> Document:
    if not (network.is_predefined and network.is_bridged):
        return dict(sorted(network.options.items()))
    return {
        "com.docker.network.bridge.default_bridge": "true",
        "com.docker.network.bridge.enable_icc": "true",
        "com.docker.network.bridge.enable_ip_masquerade": "true",
        "com.docker.network.bridge.host_binding_ipv4": "0.0.0.0",
        "com.docker.network.bridge.name": bridge_name(network.id),
        "com.docker.network.driver.mtu": str(DEFAULT_MTU),
    }
