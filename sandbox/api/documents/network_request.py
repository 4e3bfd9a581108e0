"""The body of `POST /networks/create` as a NetworkRequest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api.documents.reading import flag, given_flag, pairs, table, tables, text, value_of
from sandbox.api.errors import ApiError
from sandbox.grammar.ipam import IpamTexts, group_subnets
from sandbox.network.create import NetworkRequest

if TYPE_CHECKING:
    from collections.abc import Mapping


_UNHELD = {
    "Ingress": "ports of services are carried by no network",
    "ConfigOnly": "a network has its settings from who makes it",
    "ConfigFrom": "a network has its settings from who makes it",
}
#: a network takes one of IPv4 and one of IPv6; what is wrong with a few more is told in its own words
_MOST_POOLS = 32


def read_network(body: Mapping[str, Any]) -> NetworkRequest:
    """The network that is asked for. Raises ApiError, UsageError."""
    name = text(body, "Name")
    for key, why in _UNHELD.items():
        if text(table(body, key), "Network") if key == "ConfigFrom" else flag(body, key):
            raise ApiError(501, f"{key} is not supported: {why}")
    ipam = table(body, "IPAM")
    pools = tables(ipam, "Config")
    if len(pools) > _MOST_POOLS:
        # each is held against each, while nobody else is answered
        raise ApiError(400, "bridge driver doesn't support multiple subnets")
    texts = IpamTexts(
        subnets=tuple(text(pool, "Subnet") for pool in pools if text(pool, "Subnet")),
        ranges=tuple(text(pool, "IPRange") for pool in pools if text(pool, "IPRange")),
        gateways=tuple(text(pool, "Gateway") for pool in pools if text(pool, "Gateway")),
        auxiliary=tuple(f"{key}={address}" for pool in pools for key, address in pairs(pool, "AuxiliaryAddresses")),
    )
    return NetworkRequest(
        name,
        text(body, "Driver") or "bridge",
        group_subnets(texts),
        given_flag(body, "EnableIPv4"),
        given_flag(body, "EnableIPv6"),
        flag(body, "Internal"),
        flag(body, "Attachable"),
        pairs(body, "Options"),
        pairs(body, "Labels"),
        text(ipam, "Driver") or "default",
        ipam_options=None if value_of(ipam, "Options") is None else pairs(ipam, "Options"),
    )
