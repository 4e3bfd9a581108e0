"""A container's endpoint: a veth pair from the network's bridge straight into the container's network namespace.

Two rtnetlink sockets do it: the router's makes the pair, the container's gives its end the addresses and the route.
The other end goes with this one, and both with the container's network namespace.
"""

from __future__ import annotations

from net.bridges import ensure_bridge
from net.link_messages import (
    default_route,
    delete_default_route,
    delete_link,
    isolate_port,
    new_address,
    new_veth,
    set_up,
    without_kernel_addresses,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from net.netlink import Message, Rtnetlink
    from net.networks import EndpointSettings, Subnet

#: of the container's own interfaces: eth0 is 100, so that it never meets what the kernel numbers from 1
_FIRST_INDEX = 100
#: of the whole range: RFC 3927, RFC 4291
_LINK_LOCAL_BITS4, _LINK_LOCAL_BITS6 = 16, 64


def add_endpoint(routing: Rtnetlink, inside: Rtnetlink, netns_fd: int, settings: EndpointSettings) -> None:
    """Connect the container's network namespace `netns_fd` to its network; `inside` is a socket of that namespace.

    The bridge is made where it is not there. Raises NetError, with the pair gone.
    """
    bridge = ensure_bridge(routing, settings.bridge)
    number, name, index = settings.number, settings.host_interface, container_index(settings)
    pair = new_veth(
        name, number, mtu=settings.bridge.mtu, bridge=bridge, peer_name=settings.interface, peer_index=index,
        peer_mac=settings.mac, netns_fd=netns_fd,
    )  # fmt: skip
    # what a killed monitor left of the same number, where its namespace is still being taken away
    routing.send(delete_link(name))
    try:
        routing.send(pair, without_kernel_addresses(number), *_port_messages(settings), set_up(number))
        inside.send(*_inside_messages(settings, index))
    except BaseException:
        routing.send(delete_link(name))
        raise


def remove_endpoint(routing: Rtnetlink, settings: EndpointSettings) -> None:
    """Take the container's interface on that network away, with its addresses and routes; no error where it is gone."""
    routing.send(delete_link(settings.host_interface))


def set_default_route(inside: Rtnetlink, settings: EndpointSettings) -> None:
    """Have the container go out by this endpoint from now on, for each IP version that it has. Raises NetError."""
    index = container_index(settings)
    inside.send(*(default_route(index, gateway) for gateway in _gateways(settings)))


def remove_default_route(inside: Rtnetlink, settings: EndpointSettings) -> None:
    """Take this endpoint's way out from the container; no error where it has none. Raises NetError."""
    index = container_index(settings)
    inside.send(*(delete_default_route(index, gateway) for gateway in _gateways(settings)))


def container_index(settings: EndpointSettings) -> int:
    """The interface index in the container."""
    return _FIRST_INDEX + settings.position


def _port_messages(settings: EndpointSettings) -> Iterator[Message]:
    if not settings.bridge.icc:
        yield isolate_port(settings.number)


def _inside_messages(settings: EndpointSettings, index: int) -> Iterator[Message]:
    if not settings.address6:
        # an address that nobody gave would be a way out that nobody asked for
        yield without_kernel_addresses(index)
    for address, subnet in _addresses(settings):
        yield new_address(index, address, subnet.prefix)
    for address in settings.link_local:
        yield new_address(index, address, _LINK_LOCAL_BITS6 if ":" in address else _LINK_LOCAL_BITS4)
    yield set_up(index)
    if settings.default_route:
        for gateway in _gateways(settings):
            yield default_route(index, gateway)


def _addresses(settings: EndpointSettings) -> Iterator[tuple[str, Subnet]]:
    for address, subnet in (
        (settings.address4, settings.bridge.subnet4),
        (settings.address6, settings.bridge.subnet6),
    ):
        if address and subnet is not None:
            yield address, subnet


def _gateways(settings: EndpointSettings) -> Iterator[str]:
    if not settings.bridge.internal:
        for _address, subnet in _addresses(settings):
            if subnet.gateway:
                yield subnet.gateway
