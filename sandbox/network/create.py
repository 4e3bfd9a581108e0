"""Making a network: its addresses chosen or checked, and its record kept."""

from __future__ import annotations

import time

from net.egress import parse_egress
from net.errors import NetError
from net.host_routes import read_busy
from net.namespace import kernel_has_ipv6
from net.networks import DEFAULT_MTU, bridge_name
from net.subnets import (
    DEFAULT_POOLS,
    AskedSubnet,
    Busy,
    CheckedSubnet,
    OverlapError,
    Pool,
    check_subnets,
    choose_subnet4,
    choose_subnet6,
    overlapping,
)
from sandbox.config import load_config
from sandbox.errors import (
    ConflictError,
    ForbiddenError,
    HostError,
    NotFoundError,
    NotSupportedError,
    SandboxError,
    UsageError,
    translated,
)
from sandbox.events import emit
from sandbox.named_tuple import NamedTuple
from sandbox.network.events import network_event
from sandbox.network.record import HOST_BINDING, ICC, MTU, PREDEFINED, Network
from sandbox.network.store import all_networks, insert_network, name_conflict, set_subnet
from sandbox.random_ids import new_container_id
from sandbox.record_copies import keep_network_copy
from sandbox.transactions import transaction

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from sandbox.paths import Paths

#: words of `--network` that name no network
_MODES = ("default", "slirp4netns", "pasta")
#: drivers of Docker that the kernel gives to root alone
_OF_ROOT = ("macvlan", "ipvlan")
#: what Docker's driver knows, and what becomes of it here
_OPTIONS = {
    MTU: "",
    ICC: "",
    "mtu": "",
    "com.docker.network.bridge.name": f"bridges are named after their networks, as {bridge_name('0' * 12)}",
    "com.docker.network.bridge.enable_ip_masquerade": "what leaves by slirp4netns has the host's address",
    HOST_BINDING: "",
    "com.docker.network.container_iface_prefix": "interfaces are named eth0, eth1, …",
}
_LEAST_MTU = 68
_LEAST_MTU_OF_IPV6 = 1280


class NetworkRequest(NamedTuple):
    """What a network is to be made with, as typed; `ipv4` and `ipv6` are None where nobody said."""

    name: str
    driver: str = "bridge"
    subnets: tuple[AskedSubnet, ...] = ()
    ipv4: bool | None = None
    ipv6: bool | None = None
    internal: bool = False
    attachable: bool = False
    options: tuple[tuple[str, str], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    ipam_driver: str = "default"
    egress: tuple[str, ...] = ()
    #: of the driver of addresses, shown again; None where nobody said
    ipam_options: tuple[tuple[str, str], ...] | None = None


class Created(NamedTuple):
    """A network's id, and what is to be known of it, a sentence each."""

    id: str
    notes: tuple[str, ...] = ()


def create_network(connection: sqlite3.Connection, paths: Paths, request: NetworkRequest) -> Created:
    """Make the network. Raises UsageError, ConflictError for a taken name or subnet, NotSupportedError; HostError where
    no container could be on it.
    """
    notes = tuple(_check(request))
    with translated(UsageError, "cannot make a network"):
        parse_egress(request.egress)
    host = _look_at_host(paths)
    _check_host(request)
    network = Network(
        new_container_id(), request.name, request.driver, time.time_ns(), internal=request.internal,
        attachable=request.attachable, options=dict(request.options), labels=dict(request.labels),
        egress=request.egress, ipam_options=None if request.ipam_options is None else dict(request.ipam_options),
    )  # fmt: skip
    with transaction(connection):
        others = all_networks(connection)
        if request.name in {other.name for other in others}:
            raise name_conflict(request.name)
        # the first of the pools is the default network's, whether it was used yet or not
        others = [_with_subnet_of_default(connection, other, others, host) for other in others]
        network = _with_addresses(network, request, _taken(others), host)
        insert_network(connection, network)
        emit(connection, network_event("create", network))
    keep_network_copy(connection, network.id)
    return Created(network.id, (*notes, *_hidden(network, request, host.busy)))


class _Host(NamedTuple):
    """What subnets are chosen by: what the host reaches, and the pools."""

    busy: Busy
    pools: tuple[Pool, ...]


def _look_at_host(paths: Paths) -> _Host:
    pools = tuple(Pool(base, size) for base, size in load_config(paths).address_pools)
    with translated(SandboxError, "cannot read the host's routes"):
        return _Host(read_busy(), pools or DEFAULT_POOLS)


def _check_host(request: NetworkRequest) -> None:
    """Docker makes the bridge at once, and fails where it cannot; here the first container would meet what lacks."""
    # not for the first start of a store, which has the subnet of the default network from here
    from net.nft import check_nft
    from net.slirp import assume_features
    from net.tun import check_tun

    with translated(HostError, f"cannot make network {request.name}"):
        check_nft()
        if not request.internal:
            check_tun()
            assume_features()


def _with_subnet_of_default(
    connection: sqlite3.Connection, network: Network, others: Sequence[Network], host: _Host
) -> Network:
    if network.name != "bridge" or network.subnet4:
        return network
    try:
        subnet = choose_subnet4(_taken(others), *host)
    except NetError as error:
        raise SandboxError(error.message, cause=error.cause, mend=error.mend) from error
    network = network._replace(subnet4=subnet.text, gateway4=subnet.gateway)
    set_subnet(connection, network)
    return network


def give_default_subnet(connection: sqlite3.Connection, paths: Paths, network: Network) -> Network:
    """The network `bridge` with a subnet, within a transaction: chosen when it is first used, for only then is known
    what the host reaches. Raises SandboxError.
    """
    return _with_subnet_of_default(connection, network, all_networks(connection), _look_at_host(paths))


def _taken(networks: Sequence[Network]) -> dict[str, str]:
    """The subnets that there are, and the names of their networks."""
    return {subnet: network.name for network in networks for subnet in (network.subnet4, network.subnet6) if subnet}


def _check(request: NetworkRequest) -> Iterator[str]:
    """What is told of a request that can be; raises for what cannot."""
    _check_name(request.name)
    _check_driver(request)
    if request.ipv4 is False and not request.ipv6:
        raise UsageError("IPv4 or IPv6 must be enabled", mend="--ipv6")
    for subnet in request.subnets:
        version = 6 if ":" in subnet.subnet else 4
        if (request.ipv4 is False and version == 4) or (request.ipv6 is False and version == 6):
            raise UsageError(
                f"invalid network config: IPv{version} is not enabled, and {subnet.subnet} is a subnet of it",
                mend=f"--ipv{version}",
            )
    if (request.ipv6 or any(":" in subnet.subnet for subnet in request.subnets)) and not kernel_has_ipv6():
        raise NotSupportedError(
            "cannot make a network with IPv6",
            cause="this kernel has none, or was started with ipv6.disable=1",
            mend="sandbox doctor ipv6",
        )
    for version, mark in ((4, "."), (6, ":")):
        several = [subnet.subnet for subnet in request.subnets if mark in subnet.subnet.partition("/")[0]]
        if len(several) > 1:
            raise UsageError(
                "bridge driver doesn't support multiple subnets", cause=f"for IPv{version}: {', '.join(several)}"
            )
    yield from _check_options(request)


def _check_name(name: str) -> None:
    if not name.strip():
        raise UsageError("network name cannot be empty", mend="sandbox network create NAME")
    if name in PREDEFINED or name in _MODES:
        raise ForbiddenError(f"operation is not permitted on predefined {name} network", mend="choose another name")
    if (
        not name.isprintable()
        or len(name) > 128
        or name.startswith(("-", "container:"))
        or set(name) & set("/,=")
        or name != name.strip()
    ):
        raise UsageError(
            f"invalid network name: {name!r}",
            cause="it has to be a word for --network, and a part of names that containers look up",
            mend="use letters, digits, '_', '.' and '-'",
        )


def _check_driver(request: NetworkRequest) -> None:
    driver = request.driver
    if driver in ("host", "null"):
        raise ForbiddenError(f'only one instance of "{driver}" network is allowed', mend="--driver bridge")
    if driver not in ("bridge", "overlay"):
        refusal = NotSupportedError if driver in _OF_ROOT else NotFoundError
        raise refusal(
            f'could not find plugin {driver} in v1 plugin registry: plugin "{driver}" not found',
            cause="networks here are bridges of one user: others need root's power over the host's devices",
            mend="leave --driver out",
        )
    if request.ipam_driver not in ("default", ""):
        raise NotSupportedError(
            f'could not find plugin {request.ipam_driver}: plugin "{request.ipam_driver}" not found',
            mend="leave --ipam-driver out",
        )


def _check_options(request: NetworkRequest) -> Iterator[str]:
    for key, _value in request.options:
        if key not in _OPTIONS:
            yield f"the option {key} means nothing to the driver bridge"
        elif _OPTIONS[key]:
            yield f"the option {key} changes nothing: {_OPTIONS[key]}"
    options = dict(request.options)
    if (text := mtu_text(options)) is not None:
        least = _LEAST_MTU_OF_IPV6 if request.ipv6 else _LEAST_MTU
        if not (text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= DEFAULT_MTU):
            raise UsageError(f"invalid MTU: {text}", cause=f"it is a number from {least} to {DEFAULT_MTU}")
    if options.get(ICC, "true").lower() not in ("true", "false", "1", "0"):
        raise UsageError(f"invalid value for {ICC}: {options[ICC]}", mend=f"--opt {ICC}=false")
    if (address := options.get(HOST_BINDING)) is not None and not _is_ipv4(address):
        raise UsageError(f"invalid value for {HOST_BINDING}: {address!r}", mend=f"--opt {HOST_BINDING}=127.0.0.1")


def _is_ipv4(text: str) -> bool:
    from sandbox.grammar.hosts import canonical_address  # few networks have the option

    address = canonical_address(text)
    return address is not None and ":" not in address


def mtu_text(options: dict[str, str]) -> str | None:
    """What was asked for as the MTU; 0 is Docker's word for its own choice."""
    text = options.get(MTU, options.get("mtu"))
    return None if text == "0" else text


def _with_addresses(network: Network, request: NetworkRequest, taken: dict[str, str], host: _Host) -> Network:
    try:
        checked = check_subnets(request.subnets, taken)
        for one in checked:
            network = _with_subnet(network, one, request.subnets)
        if request.ipv4 is not False and not network.subnet4:
            chosen = choose_subnet4(taken, *host)
            network = network._replace(subnet4=chosen.text, gateway4=chosen.gateway)
        if request.ipv6 and not network.subnet6:
            chosen = choose_subnet6(taken, network.id)
            network = network._replace(subnet6=chosen.text, gateway6=chosen.gateway)
    except OverlapError as error:
        mend = _free_subnet(error, network.id, taken, host)
        raise ForbiddenError(error.message, cause=error.cause, mend=mend) from error
    except NetError as error:
        kind = ConflictError if "subnetted" in error.message else UsageError
        raise kind(error.message, cause=error.cause, mend=error.mend) from error
    return network


def _free_subnet(error: OverlapError, seed: str, taken: dict[str, str], host: _Host) -> str:
    """What to type for a subnet that is not free."""
    try:
        free = choose_subnet6(taken, seed) if error.version == 6 else choose_subnet4(taken, *host)
    except NetError:
        return error.mend
    return f"--subnet {free.text}, which is free"


def _with_subnet(network: Network, checked: CheckedSubnet, asked: Sequence[AskedSubnet]) -> Network:
    auxiliary = {**network.auxiliary, **dict(pair for one in asked for pair in one.auxiliary)}
    subnet = checked.subnet
    if ":" in subnet.address:
        return network._replace(
            subnet6=subnet.text, gateway6=subnet.gateway, range6=checked.ip_range, chosen6=True, auxiliary=auxiliary
        )
    return network._replace(
        subnet4=subnet.text, gateway4=subnet.gateway, range4=checked.ip_range, chosen4=True, auxiliary=auxiliary
    )


def _hidden(network: Network, request: NetworkRequest, busy: Busy) -> Iterator[str]:
    """What of the host a subnet that was asked for takes from the network's containers."""
    for subnet in (network.subnet4, network.subnet6) if request.subnets else ():
        if subnet and (what := overlapping(subnet, busy)):
            yield f"{subnet} overlaps {what}: containers of {network.name} cannot reach that"
