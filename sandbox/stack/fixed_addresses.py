"""The addresses that a project's services ask for, held against the subnets that the file gives their networks.

Asked where containers are made, before anything is: a network that was made for a container that cannot be on it would
stay. What an external network has is seen when it is looked at.
"""

from __future__ import annotations

from sandbox.stack.consistency import place_of
from sandbox.stack.errors import problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.stack.errors import ComposeFileError
    from sandbox.stack.project import Network, Project


def require_fixed_addresses(project: Project) -> None:
    """Raise ComposeFileError for an address that its network does not have, or that two containers are to have."""
    owners: dict[tuple[str, str], str] = {}
    for name, replicas, network, key, address in _asked(project):
        path = f"services.{name}.networks.{network}.{key}"
        if why := _refusal(project.networks.value(network), key, address):
            raise _error(project, path, *why)
        owner = owners.setdefault((network, address), name)
        if owner != name:
            raise _error(project, path, f"Address already in use: service {owner!r} has {address} on this network")
        if replicas > 1:
            raise _error(project, path, f"Address already in use: {address} cannot be that of {replicas} containers")


def _error(project: Project, path: str, what: str, mend: str = "") -> ComposeFileError:
    return problem(place_of(project.places, path), path, what, mend=mend)


def _asked(project: Project) -> Iterator[tuple[str, int, str, str, str]]:
    for name, service in project.services:
        for network, place in service.networks or ():
            if place is None:
                continue
            for key, address in (("ipv4_address", place.ipv4_address), ("ipv6_address", place.ipv6_address)):
                if address:
                    yield name, service.replicas, network, key, address


def _refusal(network: Network | None, key: str, address: str) -> tuple[str, str] | None:
    """Why the network does not have the address, and what helps; None where it has, or is not the file's own."""
    if network is None or network.external:
        return None
    from ipaddress import ip_address, ip_network  # few files ask for addresses

    version = 4 if key == "ipv4_address" else 6
    try:
        wanted = ip_address(address)
        subnets = [(ip_network(pool.subnet, strict=False), pool) for pool in network.ipam.config if pool.subnet]
    except ValueError as error:
        # of a subnet it is the network's own error
        return (f"invalid IPv{version} address: {address}", "") if address in str(error) else None
    if wanted.version != version:
        return f"invalid IPv{version} address: {address}", ""
    subnets = [(subnet, pool) for subnet, pool in subnets if subnet.version == version]
    if not subnets:
        return (
            "user specified IP address is supported only when connecting to networks with user configured subnets",
            "give the network a subnet: ipam: {config: [{subnet: 172.30.0.0/16}]}",
        )
    for subnet, pool in subnets:
        if wanted in subnet:
            gateway = pool.gateway or ("" if pool.ip_range else str(subnet.network_address + 1))
            ends = (subnet.network_address, *((subnet.broadcast_address,) if version == 4 else ()))
            if wanted in ends or str(wanted) in (gateway, *(kept for _, kept in pool.aux_addresses)):
                return f"Address already in use: {address} is the gateway, an end of {subnet}, or kept back", ""
            return None
    known = ", ".join(str(subnet) for subnet, _ in subnets)
    return f"no configured subnet contains IP address {address}: the network has {known}", ""
