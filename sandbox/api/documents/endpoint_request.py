"""Docker's EndpointSettings as an EndpointRequest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api.documents.reading import number, pairs, table, text, texts
from sandbox.values import EndpointRequest

if TYPE_CHECKING:
    from collections.abc import Mapping


def endpoint_of(network: str, settings: Mapping[str, Any]) -> EndpointRequest:
    """The endpoint that is asked for; what the engine itself fills in is passed over. Raises ApiError."""
    addresses = table(settings, "IPAMConfig")
    return EndpointRequest(
        network,
        texts(settings, "Aliases"),
        pairs(settings, "DriverOpts"),
        texts(settings, "Links"),
        text(addresses, "IPv4Address"),
        text(addresses, "IPv6Address"),
        texts(addresses, "LinkLocalIPs"),
        text(settings, "MacAddress"),
        number(settings, "GwPriority"),
    )
