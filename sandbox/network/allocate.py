"""Places of containers on networks, given at a start: addresses, numbers of interfaces, MAC addresses.

An address is the next one that is free beyond the one that was given last, as Docker has it: one that was just given
back is not given at once, while others may still send to who had it. Places are given back in the transaction that ends
the run (`container/model/endpoint_rows.py`).
"""

from __future__ import annotations

import os

from net.networks import mac_of
from sandbox.container.model.claims import claim_of
from sandbox.container.model.documents import from_json
from sandbox.container.model.endpoint_rows import free_endpoints
from sandbox.container.model.record import ContainerState
from sandbox.errors import ForbiddenError, SandboxError, UsageError
from sandbox.events import emit
from sandbox.grammar.endpoint_options import interface_name
from sandbox.named_tuple import NamedTuple
from sandbox.network.addresses import next_free, number_of, span_of, text_of, usable_span
from sandbox.network.events import network_event
from sandbox.network.record import Endpoint, Network
from sandbox.network.requested import has_ipv6_off, requested_endpoints
from sandbox.network.store import endpoints_of, find_network, insert_endpoint
from sandbox.values import EndpointRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from sandbox.container.model.record import Container
    from sandbox.paths import Paths

#: interfaces in the router are numbered from here, far beyond what the kernel numbers by itself, to there and again
FIRST_NUMBER = 1 << 20
LAST_NUMBER = (1 << 30) - 1
_NUMBER = "network endpoint number"


class FullNetworkError(SandboxError):
    """All addresses of a network are given."""


def give_endpoints(connection: sqlite3.Connection, paths: Paths, container: Container) -> tuple[Endpoint, ...]:
    """Put the container on every network that its configuration names, within a transaction in which it is claimed.

    Raises NotFoundError for a network that is gone, ForbiddenError for an address that is taken, FullNetworkError.
    """
    for request in requested_endpoints(container.config):
        give_endpoint(connection, paths, container, request)
    return endpoints_of(connection, container.id)


def give_endpoint(
    connection: sqlite3.Connection, paths: Paths, container: Container, request: EndpointRequest
) -> Endpoint:
    """Put the container on one network more, within a transaction. Raises as `give_endpoints` does.

    One that has IPv6 off has no such address on a network that has, as in Docker.
    """
    assert connection.in_transaction, "an address is looked for and taken in one transaction"
    network = find_network(connection, request.network)
    if network.name == "bridge" and not network.subnet4:
        from sandbox.network.create import give_default_subnet  # once for each store

        network = give_default_subnet(connection, paths, network)
    query = "SELECT coalesce(max(interface) + 1, 0) FROM endpoint WHERE container_id = ?"
    (interface,) = connection.execute(query, (container.id,)).fetchone()
    chosen = {interface_name(one.driver_options) for one in container.config.endpoints}
    while f"eth{interface}" in chosen:
        # another of its interfaces is called so, as it was asked for
        interface += 1
    address4 = _give_address(connection, _Wanted(container.id, network, request, 4))
    address6, link_local = "", request.link_local_addresses
    if has_ipv6_off(container.config):
        link_local = tuple(address for address in link_local if ":" not in address)
    else:
        address6 = _give_address(connection, _Wanted(container.id, network, request, 6))
    endpoint = Endpoint(
        container.id, network, os.urandom(32).hex(), _give_number(connection), f"eth{interface}", address4, address6,
        request.mac_address or _mac_of(address4), request.aliases, request.links, request.gateway_priority,
        False, link_local, request.driver_options,
    )  # fmt: skip
    insert_endpoint(connection, endpoint)
    emit(connection, network_event("connect", network, container.id))
    return endpoint


def _mac_of(address4: str) -> str:
    """Docker's: a locally administered one that has the address in it, or one by chance."""
    return mac_of(address4 or ".".join(str(byte) for byte in os.urandom(4)))


def _give_number(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT value FROM setting WHERE key = ?", (_NUMBER,)).fetchone()
    number = int(row[0]) + 1 if row else FIRST_NUMBER
    while True:
        if number > LAST_NUMBER:
            number = FIRST_NUMBER
        if connection.execute("SELECT 1 FROM endpoint WHERE number = ?", (number,)).fetchone() is None:
            break
        number += 1
    connection.execute("INSERT OR REPLACE INTO setting (key, value) VALUES (?, ?)", (_NUMBER, str(number)))
    return number


class _Wanted(NamedTuple):
    """An address that a container is to get: of which network, as what was asked for, of which version of IP."""

    container_id: str
    network: Network
    request: EndpointRequest
    version: int

    @property
    def fixed(self) -> str:
        return self.request.ipv6_address if self.version == 6 else self.request.ipv4_address

    @property
    def subnet(self) -> str:
        return self.network.subnet6 if self.version == 6 else self.network.subnet4

    @property
    def never_given(self) -> set[int]:
        """The gateway, and what a person kept for himself."""
        network = self.network
        gateway = network.gateway6 if self.version == 6 else network.gateway4
        kept = [text for text in network.auxiliary.values() if (":" in text) == (self.version == 6)]
        return {number_of(text) for text in (gateway, *kept) if text}


def _give_address(connection: sqlite3.Connection, wanted: _Wanted) -> str:
    """The address; "" where the network has none of this version."""
    if not wanted.subnet:
        return ""
    if wanted.fixed:
        return _take_fixed(connection, wanted)
    network, version = wanted.network, wanted.version
    address_range = network.range6 if version == 6 else network.range4
    span = usable_span(wanted.subnet, address_range)
    last = network.last6 if version == 6 else network.last4
    after = number_of(last) if last else span.first - 1
    taken = _given(connection, wanted) | wanted.never_given
    number = next_free(span, after, taken | _fixed_of_others(connection, wanted))
    if number is None:
        _free_dead(connection, network)
        number = next_free(span, after, _given(connection, wanted) | wanted.never_given)
    if number is None:
        raise FullNetworkError(
            f"no available IPv{version} addresses on this network's address pools: {network.name} ({network.id})",
            cause=f"all of {address_range or wanted.subnet} are given",
            mend=f"sandbox network inspect {network.name}",
        )
    address = text_of(number, version)
    connection.execute(f"UPDATE network SET last{version} = ? WHERE id = ?", (address, network.id))
    return address


def give_service_address(connection: sqlite3.Connection, network: Network) -> str:
    """An address for a service as a whole, which no container gets, within a transaction in which it is recorded; ""
    where the network has no IPv4. Raises FullNetworkError.
    """
    return _give_address(connection, _Wanted("", network, EndpointRequest(network.name), 4))


def _given(connection: sqlite3.Connection, wanted: _Wanted) -> set[int]:
    column = f"address{wanted.version}"
    query = f"SELECT {column} FROM endpoint WHERE network_id = ?1 AND {column} IS NOT NULL"
    if wanted.version == 4:
        query += " UNION SELECT address4 FROM service_vip WHERE network_id = ?1"
    return {number_of(text) for (text,) in connection.execute(query, (wanted.network.id,))}


def _fixed_of_others(connection: sqlite3.Connection, wanted: _Wanted) -> set[int]:
    """What other containers have asked for by address, running or not: they are to get it when they start."""
    found = connection.execute(
        f"SELECT json_extract(asked.value, '$.ipv{wanted.version}_address')"
        " FROM container, json_each(container.config, '$.endpoints') AS asked"
        " WHERE container.id != ? AND json_extract(asked.value, '$.network') = ?",
        (wanted.container_id, wanted.network.name),
    )
    return {number_of(text) for (text,) in found if text}


def _take_fixed(connection: sqlite3.Connection, wanted: _Wanted) -> str:
    check_fixed(wanted.network, wanted.fixed)
    _check_no_service(connection, wanted)
    holder = _holder_of(connection, wanted)
    if holder is not None:
        # of a container that died with its monitor, and that nobody has met since
        _free_dead(connection, wanted.network)
        holder = _holder_of(connection, wanted)
    if holder is not None:
        raise ForbiddenError(
            "Address already in use",
            cause=f"container {holder} has {wanted.fixed} on network {wanted.network.name}",
            mend=f"sandbox stop {holder}",
        )
    return wanted.fixed


def check_fixed(network: Network, address: str) -> None:
    """Raise UsageError for an address that the network has not, ForbiddenError for one that it gives to nobody."""
    version = 6 if ":" in address else 4
    wanted = _Wanted("", network, EndpointRequest(network.name), version)
    subnet, number = wanted.subnet, number_of(address)
    if not subnet or number not in span_of(subnet):
        raise UsageError(
            f"invalid endpoint settings: no configured subnet contains IP address {address}",
            cause=f"network {network.name} has {subnet or f'no IPv{version}'}",
            mend=f"sandbox network inspect {network.name}",
        )
    if number in wanted.never_given or number not in usable_span(subnet):
        raise ForbiddenError(
            "Address already in use",
            cause=f"{address} is {_what_it_is(wanted, number)} of network {network.name}",
            mend=f"sandbox network inspect {network.name}",
        )


def _what_it_is(wanted: _Wanted, number: int) -> str:
    """Why nobody gets the address."""
    network, span = wanted.network, span_of(wanted.subnet)
    gateway = network.gateway6 if wanted.version == 6 else network.gateway4
    if gateway and number == number_of(gateway):
        return "the gateway"
    if number in wanted.never_given:
        return "an auxiliary address"
    return "the first address, which is no container's," if number == span.first else "the broadcast address"


def _holder_of(connection: sqlite3.Connection, wanted: _Wanted) -> str | None:
    row = connection.execute(
        "SELECT container.name FROM endpoint JOIN container ON container.id = endpoint.container_id"
        f" WHERE network_id = ? AND address{wanted.version} = ?",
        (wanted.network.id, wanted.fixed),
    ).fetchone()
    return str(row[0]) if row else None


def _check_no_service(connection: sqlite3.Connection, wanted: _Wanted) -> None:
    row = connection.execute(
        "SELECT service.name FROM service_vip JOIN service ON service.id = service_id"
        " WHERE network_id = ? AND address4 = ?",
        (wanted.network.id, wanted.fixed),
    ).fetchone()
    if row is not None:
        raise ForbiddenError(
            "Address already in use",
            cause=f"service {row[0]} has {wanted.fixed} on network {wanted.network.name}",
            mend=f"sandbox network inspect {wanted.network.name}",
        )


def _free_dead(connection: sqlite3.Connection, network: Network) -> None:
    """Take back the places of those whose monitor was killed."""
    for container_id in _dead_on(connection, network):
        free_endpoints(connection, container_id)


def _dead_on(connection: sqlite3.Connection, network: Network) -> Iterator[str]:
    rows = connection.execute(
        "SELECT container.id, container.state FROM endpoint JOIN container ON container.id = endpoint.container_id"
        " WHERE network_id = ?",
        (network.id,),
    ).fetchall()
    for container_id, state in rows:
        if not claim_of(from_json(ContainerState, state)).is_alive:
            yield container_id
