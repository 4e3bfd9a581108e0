"""`network create --subnet --ip-range --gateway --aux-address`: which of them belong together."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from net.subnets import AskedSubnet
from sandbox.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network


class IpamTexts:
    """The options as typed; `auxiliary` are "NAME=ADDRESS"."""

    def __init__(
        self,
        subnets: Sequence[str] = (),
        ranges: Sequence[str] = (),
        gateways: Sequence[str] = (),
        auxiliary: Sequence[str] = (),
    ) -> None:
        self.subnets = subnets
        self.ranges = ranges
        self.gateways = gateways
        self.auxiliary = auxiliary


def group_subnets(texts: IpamTexts) -> tuple[AskedSubnet, ...]:
    """Each subnet with the range, the gateway and the addresses that lie in it, as Docker's client puts them together.

    Raises UsageError for what lies in none, and for two of one kind in one.
    """
    if not texts.subnets and (texts.ranges or texts.gateways):
        raise UsageError("every ip-range or gateway must have a corresponding subnet", mend="--subnet 172.30.0.0/16")
    networks = {text: _network(text) for text in texts.subnets}
    if len(networks) < len(texts.subnets) or any(
        one.overlaps(other)
        for one in networks.values()
        for other in networks.values()
        if one is not other and one.version == other.version
    ):
        raise UsageError("multiple overlapping subnet configuration is not supported", mend="give each subnet once")
    asked = {text: AskedSubnet(text) for text in texts.subnets}
    for text in texts.ranges:
        subnet = _home(networks, text, f"no matching subnet for range {text}")
        if before := asked[subnet].ip_range:
            raise UsageError(f"cannot configure multiple ranges ({text}, {before}) on the same subnet ({subnet})")
        asked[subnet] = asked[subnet]._replace(ip_range=text)
    for text in texts.gateways:
        subnet = _home(networks, text, f"no matching subnet for gateway {text}")
        if before := asked[subnet].gateway:
            raise UsageError(f"cannot configure multiple gateways ({text}, {before}) for the same subnet ({subnet})")
        asked[subnet] = asked[subnet]._replace(gateway=text)
    for text in texts.auxiliary:
        name, _, address = text.partition("=")
        subnet = _home(networks, address, f"no matching subnet for aux-address {address}")
        asked[subnet] = asked[subnet]._replace(auxiliary=(*asked[subnet].auxiliary, (name, address)))
    return tuple(asked.values())


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        if "/" not in text:
            raise ValueError(text)
        return ip_network(text, strict=False)
    except ValueError:
        raise UsageError(f"invalid CIDR address: {text}", mend="--subnet 172.30.0.0/16") from None


def _home(networks: dict[str, IPv4Network | IPv6Network], text: str, refusal: str) -> str:
    """The subnet that an address, or the first one of a range, lies in."""
    try:
        address = ip_address(text.partition("/")[0])
    except ValueError:
        raise UsageError(
            f"invalid IP address: {text}" if "/" not in text else f"invalid CIDR address: {text}"
        ) from None
    for subnet, network in networks.items():
        if address in network:
            return subnet
    raise UsageError(refusal, cause=f"the subnets are {', '.join(networks) or 'none'}")
