"""`inspect`: where a container is on networks, as Docker's NetworkSettings."""

from __future__ import annotations

from net.addresses import CONTAINER_ADDRESS, GATEWAY_ADDRESS
from sandbox.container.model.hostname import hostname_of
from sandbox.container.view.host_config import port_bindings
from sandbox.network.mode import is_private
from sandbox.network.record import dns_names
from sandbox.network.requested import is_taken_off, requested_endpoints
from sandbox.values import EndpointRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from sandbox.container.model.record import Container
    from sandbox.network.record import Endpoint

    Document = dict[str, Any]  # Any: JSON

_NOWHERE: Document = {
    "EndpointID": "",
    "Gateway": "",
    "IPAddress": "",
    "IPPrefixLen": 0,
    "IPv6Gateway": "",
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
}


def network_settings(container: Container, endpoints: Sequence[Endpoint]) -> Document:
    """The document; `endpoints` are those of a container that runs."""
    config, running = container.config, container.state.status in ("running", "paused")
    # behind slirp4netns all have the same address, which nobody else sees
    alone = running and is_private(config.network) and not endpoints
    ports: Document = {}
    if running and (alone or endpoints):
        ports = dict.fromkeys(config.exposed_ports) | port_bindings(container.state.published_ports)
    networks = dict(_networks(container, endpoints if running else ()))
    if alone and "bridge" in networks:
        networks["bridge"] |= {"Gateway": GATEWAY_ADDRESS, "IPAddress": CONTAINER_ADDRESS, "IPPrefixLen": 24}
    # Docker's old fields speak of the default network alone
    of_default = networks.get("bridge", {})
    return {
        "Bridge": "",
        "SandboxID": _sandbox_id(container),
        # for nsenter --net=
        "SandboxKey": f"/proc/{container.state.pid}/ns/net" if container.state.pid else "",
        "Ports": ports,
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **{name: of_default.get(name, nothing) for name, nothing in _NOWHERE.items()},
        "MacAddress": of_default.get("MacAddress", ""),
        "Networks": networks,
    }


def _sandbox_id(container: Container) -> str:
    """What tells this run's network from that of every other run; "" while there is none, and of one that is shared."""
    state = container.state
    if not state.pid or container.config.network.startswith("container:"):
        return ""
    from hashlib import sha256  # OpenSSL, for `inspect` alone

    return sha256(f"{container.id} {state.boot_id} {state.pid} {state.pid_start}".encode()).hexdigest()


def _networks(container: Container, endpoints: Sequence[Endpoint]) -> Iterator[tuple[str, Document]]:
    config = container.config
    if config.network.startswith("container:") or is_taken_off(config):
        return
    present = {endpoint.network.name: endpoint for endpoint in endpoints}
    name = "bridge" if config.network == "default" else config.network
    asked = requested_endpoints(config) or (EndpointRequest(name, config.network_aliases),)
    for request in sorted(asked):
        yield request.network, _endpoint(container, request, present.get(request.network))


def _endpoint(container: Container, request: EndpointRequest, present: Endpoint | None) -> Document:
    fixed = {
        "IPv4Address": request.ipv4_address,
        "IPv6Address": request.ipv6_address,
        "LinkLocalIPs": list(request.link_local_addresses),
    }
    names = dns_names(request.aliases, container.name, container.id[:12], hostname_of(container))
    return {
        "IPAMConfig": {key: given for key, given in fixed.items() if given} or None,
        # those of the default network are the container's own
        "Links": (list(request.links) or None) if request.network != "bridge" else None,
        "Aliases": list(request.aliases) or None,
        "MacAddress": present.mac if present else request.mac_address,
        "NetworkID": present.network.id if present else "",
        **(_addresses(present) if present else _NOWHERE),
        "DriverOpts": dict(request.driver_options) or None,
        # on the default network Docker finds no names, and says so
        "DNSNames": list(names) if request.network not in ("bridge", "host", "none") else None,
    }


def _addresses(endpoint: Endpoint) -> Document:
    network = endpoint.network
    return {
        "EndpointID": endpoint.id,
        # an internal network leads nowhere
        "Gateway": "" if network.internal or not endpoint.address4 else network.gateway4,
        "IPAddress": endpoint.address4,
        "IPPrefixLen": endpoint.prefix4,
        "IPv6Gateway": "" if network.internal or not endpoint.address6 else network.gateway6,
        "GlobalIPv6Address": endpoint.address6,
        "GlobalIPv6PrefixLen": endpoint.prefix6,
    }
