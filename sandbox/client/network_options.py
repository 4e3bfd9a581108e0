"""The keywords of `containers.run` that are about networks, as endpoints of a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.errors import UsageError, at_field
from sandbox.grammar.networks import (
    SharedOptions,
    combine_networks,
    is_user_defined,
    parse_link,
    parse_mac,
)
from sandbox.values import EndpointRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: as docker-py's EndpointConfig has them
_KEYS = frozenset({
    "aliases", "links", "ipv4_address", "ipv6_address", "link_local_ips", "driver_opt", "mac_address", "gw_priority",
})  # fmt: skip


def read_networks(given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request that the keywords fill. Raises UsageError."""
    if "network" in given and "network_mode" in given:
        raise UsageError("network and network_mode were both given", mend="leave one of the two out")
    network = given.get("network") or given.get("network_mode")
    if not given.keys() & {"links", "mac_address", "networking_config"} and (
        network in ("none", "host") or str(network).startswith("container:")
    ):
        return {"network_mode": network}
    with at_field("networking_config"):
        endpoints = [_endpoint(name, config or {}) for name, config in (given.get("networking_config") or {}).items()]
    if network and network not in [endpoint.network for endpoint in endpoints]:
        with at_field("network"):
            endpoints.insert(0, *combine_networks((network,), SharedOptions()))
    with at_field("links"):
        links = tuple(_links(given.get("links")))
    with at_field("mac_address"):
        mac = parse_mac(str(given["mac_address"])) if "mac_address" in given else ""
    if links or mac:
        first = endpoints[0] if endpoints else EndpointRequest("default")
        endpoints[:1] = [first._replace(links=(*first.links, *links), mac_address=mac or first.mac_address)]
    endpoints.sort(key=lambda endpoint: endpoint.network != network)
    return {"endpoints": tuple(endpoints)} if endpoints else {}


def _endpoint(name: str, config: Mapping[str, Any]) -> EndpointRequest:
    if unknown := sorted(config.keys() - _KEYS):
        raise UsageError(f"unknown key of network {name}: {', '.join(unknown)}", mend=f"use {', '.join(sorted(_KEYS))}")
    if not is_user_defined(name) and name != "bridge":
        raise UsageError(f"{name} is no network that can be configured", mend=f'network="{name}"')
    shared = SharedOptions(
        tuple(config.get("aliases") or ()), tuple(_links(config.get("links"))), config.get("ipv4_address") or "",
        config.get("ipv6_address") or "", tuple(config.get("link_local_ips") or ()), config.get("mac_address") or "",
    )  # fmt: skip
    (endpoint,) = combine_networks(("a-network",), shared)
    return endpoint._replace(
        network=name,
        driver_options=tuple((config.get("driver_opt") or {}).items()),
        gateway_priority=int(config.get("gw_priority") or 0),
    )


def _links(given: Any) -> Iterator[str]:
    """ "NAME:ALIAS" of a map, of pairs, or of such texts."""
    if isinstance(given, str):
        raise UsageError("links is a map, not a text", mend=f"links={{{given!r}: {given!r}}}")
    for item in given.items() if hasattr(given, "items") else given or ():
        yield ":".join(parse_link(item if isinstance(item, str) else ":".join(item)))
