"""What a container asks of networks, held against the networks that there are."""

from __future__ import annotations

from sandbox.container.model.store import find_container
from sandbox.errors import NotFoundError, UsageError
from sandbox.grammar.networks import check_endpoint
from sandbox.network.allocate import check_fixed
from sandbox.network.store import find_network
from sandbox.values import EndpointRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from sandbox.container.model.record import ContainerConfig
    from sandbox.network.record import Network


def with_known_networks(
    connection: sqlite3.Connection, config: ContainerConfig, *, may_lack: bool = False
) -> ContainerConfig:
    """The configuration with every network by its name; with `may_lack` one that is not there stays as it was asked
    for. Raises NotFoundError, UsageError, ConflictError.
    """
    wanted = [endpoint for endpoint in config.endpoints if not (may_lack and _is_missing(connection, endpoint))]
    known = {id(endpoint): known_endpoint(connection, endpoint) for endpoint in wanted}
    endpoints = _by_one_name(config.endpoints, [known.get(id(one), one) for one in config.endpoints])
    names = [endpoint.network for endpoint in endpoints]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f'network "{name}" is specified multiple times', mend=f"--network {name}, once")
    return config._replace(network=names[0], endpoints=endpoints)


def _by_one_name(asked: Sequence[EndpointRequest], known: Sequence[EndpointRequest]) -> tuple[EndpointRequest, ...]:
    """The known ones, with what was said of one network by its id and by its name put together: some of Docker's
    clients give the mode by the id.
    """
    found: list[tuple[str, EndpointRequest]] = []
    for word, endpoint in zip((one.network for one in asked), known, strict=True):
        place = next((at for at, (_, other) in enumerate(found) if other.network == endpoint.network), None)
        if place is None or found[place][0] == word:
            found.append((word, endpoint))
        else:
            nothing = EndpointRequest(endpoint.network)
            said = zip(found[place][1], endpoint, nothing, strict=True)
            one = EndpointRequest._make(first if first != none else second for first, second, none in said)
            found[place] = (found[place][0], one)
    return tuple(endpoint for _, endpoint in found)


def _is_missing(connection: sqlite3.Connection, request: EndpointRequest) -> bool:
    try:
        find_network(connection, request.network)
    except NotFoundError:
        return True
    return False


def known_endpoint(connection: sqlite3.Connection, request: EndpointRequest) -> EndpointRequest:
    """The request with the network's name, after it is seen that the network can give what is asked of it.

    Raises NotFoundError, UsageError, ConflictError.
    """
    request = check_endpoint(request)
    network = find_network(connection, request.network)
    if not network.is_bridged:
        raise UsageError(
            f"container cannot be connected to {network.name} network beside another",
            mend=f"--network {network.name}, alone",
        )
    for address, chosen in ((request.ipv4_address, network.chosen4), (request.ipv6_address, network.chosen6)):
        if address:
            _check_choice(network, chosen=chosen)
            check_fixed(network, address)
    # those of the default network are to containers that there are; elsewhere a link is one name for another
    known = _known_link if network.is_predefined else _meant_link
    links = tuple(known(connection, link) for link in request.links)
    return request._replace(network=network.name, links=links)


def _known_link(connection: sqlite3.Connection, link: str) -> str:
    """ "CONTAINER:ALIAS" with the container's name."""
    word, _, alias = link.partition(":")
    try:
        called = find_container(connection, word)
    except NotFoundError as error:
        raise NotFoundError(
            f"could not get container for {word}: {error.message}", mend=error.mend, word=word, near=error.near
        ) from error
    if called.config.network == "host":
        raise UsageError(
            "conflicting options: host type networking can't be used with links."
            " This would result in undefined behavior",
            cause=f"container {called.name} is on the host's network",
            mend="leave --link out; --host-port PORT reaches what listens on the host's loopback",
        )
    return f"{called.name}:{alias}"


def _meant_link(connection: sqlite3.Connection, link: str) -> str:
    """ "CONTAINER:ALIAS" with the container's name, where there is such a one by now."""
    try:
        return _known_link(connection, link)
    except NotFoundError:
        return link


def _check_choice(network: Network, *, chosen: bool) -> None:
    if chosen:
        return
    where = (
        "on user defined networks only"
        if network.is_predefined
        else ("only when connecting to networks with user configured subnets")
    )
    raise UsageError(
        f"invalid config for network {network.name}: invalid endpoint settings:"
        f" user specified IP address is supported {where}",
        mend="sandbox network create --subnet 172.30.0.0/16 NAME",
    )
