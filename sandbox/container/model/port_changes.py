"""Published ports added to a container and taken away: what is kept of it then. Pure.

A port has two forms: as it was asked for, where the host's may be any free one or one of a range, which the
configuration and the request keep for the next start; and as it is bound, which the state has while the container runs.
"""

from __future__ import annotations

import json

from sandbox.container.model.documents import to_plain
from sandbox.named_tuple import NamedTuple
from sandbox.values import PublishedPort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from sandbox.container.model.record import ContainerConfig, ContainerState

#: what a port of every address is bound to: of the second only on a bridge network, by Docker's order
_EVERY_ADDRESS = ("0.0.0.0", "::")


class PortsAdded(NamedTuple):
    """`bound` is empty where the container does not run."""

    asked: tuple[PublishedPort, ...]
    bound: tuple[PublishedPort, ...] = ()

    def to_state(self, state: ContainerState) -> ContainerState:
        return state._replace(published_ports=(*state.published_ports, *self.bound)) if self.bound else state

    def to_config(self, config: ContainerConfig) -> ContainerConfig:
        return config._replace(published_ports=(*config.published_ports, *self.asked))


class PortsRemoved(NamedTuple):
    """`gone` are ports as they were bound, or of a container that does not run as they were asked for; `left` those
    that stay bound.
    """

    gone: tuple[PublishedPort, ...]
    left: tuple[PublishedPort, ...] = ()

    def to_state(self, state: ContainerState) -> ContainerState:
        return state._replace(published_ports=tuple(one for one in state.published_ports if one not in self.gone))

    def to_config(self, config: ContainerConfig) -> ContainerConfig:
        kept, automatic = list(config.published_ports), list[PublishedPort]()
        if config.publish_all:
            from net.ports import PortMapping, publish_all  # nearly no container has them

            asked = [PortMapping(*port) for port in kept]
            automatic = [PublishedPort(*port) for port in publish_all(config.exposed_ports, asked)]
        done: set[PublishedPort] = set()
        for gone in self.gone:
            if (everywhere := gone._replace(host_ip="")) in done:
                continue  # the second row of one request for every address
            # the one that says most is the one that was bound
            one = next((one for one in kept if one == gone), None)
            one = one or next((one for one in kept if is_of(gone, one)), None)
            if one is not None:
                # of a request for every address one that stays is asked for by itself
                stays = [left.host_ip for left in self.left if not one.host_ip and _is_pair(left, gone)]
                place = kept.index(one)
                kept[place : place + 1] = [one._replace(host_ip=address) for address in stays]
                done |= {everywhere} if not one.host_ip else set()
                continue
            one = next((one for one in automatic if is_of(gone, one)), None)
            if one is not None:
                done.add(everywhere)
                # of all that are exposed one is not to be published any more: the others are asked for by themselves
                automatic.remove(one)
                kept += automatic
                automatic.clear()
                config = config._replace(publish_all=False)
        return config._replace(published_ports=tuple(kept))


class PortsBound(NamedTuple):
    """Ports are bound that are in the configuration already, for there is a network now that they lead to."""

    bound: tuple[PublishedPort, ...]

    def apply(self, state: ContainerState) -> ContainerState:
        return state._replace(published_ports=(*state.published_ports, *self.bound))


class PortsUnbound(NamedTuple):
    """Ports are bound no more, and stay in the configuration."""

    gone: tuple[PublishedPort, ...]

    def apply(self, state: ContainerState) -> ContainerState:
        return state._replace(published_ports=tuple(one for one in state.published_ports if one not in self.gone))


def is_of(bound: PublishedPort, asked: PublishedPort) -> bool:
    """Whether `asked` may have been bound so."""
    same = (bound.container_port, bound.protocol) == (asked.container_port, asked.protocol)
    last = asked.host_port_end or asked.host_port
    in_range = not asked.host_port or asked.host_port <= bound.host_port <= last
    same_address = asked.host_ip in ("", bound.host_ip) if bound.host_ip in _EVERY_ADDRESS else _is_same(bound, asked)
    return same and in_range and same_address


def _is_pair(one: PublishedPort, other: PublishedPort) -> bool:
    """Whether they are the same port of every IPv4 and of every IPv6 address."""
    return one._replace(host_ip="") == other._replace(host_ip="") and {one.host_ip, other.host_ip} == {*_EVERY_ADDRESS}


def _is_same(one: PublishedPort, other: PublishedPort) -> bool:
    return (one.host_ip or _EVERY_ADDRESS[0]) == (other.host_ip or _EVERY_ADDRESS[0])


def ports_named(present: Iterable[PublishedPort], wanted: PublishedPort) -> tuple[PublishedPort, ...]:
    """Those of the present ports that `wanted` names: by the container's port, and by what it says of the host's."""
    return tuple(
        one
        for one in present
        if (one.container_port, one.protocol) == (wanted.container_port, wanted.protocol)
        and (not wanted.host_port or is_of(one, wanted._replace(host_ip=wanted.host_ip or one.host_ip)))
        and (not wanted.host_ip or _is_same(wanted, one))
    )


def changed_request(text: str, config: ContainerConfig) -> str:
    """The request as it is kept, with the ports of the changed configuration; "" stays so. Raises ValueError for what
    is no request.
    """
    if not text:
        return text
    plain: dict[str, Any] = json.loads(text)
    plain["published_ports"] = to_plain(config.published_ports)
    if plain.get("publish_all") and not config.publish_all:
        plain["publish_all"] = False
    return json.dumps(plain, separators=(",", ":"))
