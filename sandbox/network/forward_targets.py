"""Where published ports lead to: which of a container's addresses."""

from __future__ import annotations

from net.client_address import ForwardTarget

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.network.record import Endpoint
    from sandbox.values import PublishedPort


def forward_target(endpoints: Sequence[Endpoint]) -> ForwardTarget:
    """The network of the default route, or the first that has such an address; none of an internal network."""
    return _target_on([one for one in endpoints if not one.network.internal])


def member_target(endpoints: Sequence[Endpoint]) -> ForwardTarget:
    """The same of a service's container, which is reached on an internal network too, where it is on no other."""
    target = forward_target(endpoints)
    return target if target.address4 or target.address6 else _target_on(endpoints)


def with_host_binding(endpoints: Sequence[Endpoint], ports: Sequence[PublishedPort]) -> tuple[PublishedPort, ...]:
    """The ports, those that name no address of the host at the one that the network of the default route says."""
    from sandbox.network.record import HOST_BINDING  # few networks have it

    address = next((one.network.options.get(HOST_BINDING, "") for one in endpoints if one.default_route), "")
    return tuple(port._replace(host_ip=port.host_ip or address) for port in ports)


def _target_on(endpoints: Sequence[Endpoint]) -> ForwardTarget:
    best_first = sorted(endpoints, key=lambda one: not one.default_route)
    subnets = tuple(subnet for one in best_first for subnet in (one.network.subnet4, one.network.subnet6) if subnet)
    return ForwardTarget(
        next((one.address4 for one in best_first if one.address4), ""),
        next((one.address6 for one in best_first if one.address6), ""),
        subnets,
    )
