"""What can be done with networks, for whoever asks: a command, a program. Values in, values out, as with containers.

Containers are put on them, and taken off, by `container.networking`.
"""

from __future__ import annotations

from sandbox.errors import HostError, NotFoundError
from sandbox.grammar.filters import FilterError
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from typing import Any

    from sandbox.grammar.filters import Filters
    from sandbox.network.create import Created, NetworkRequest
    from sandbox.network.record import Network
    from sandbox.operation_context import OperationContext
    from sandbox.paths import Paths

_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")


def create(context: OperationContext, request: NetworkRequest) -> Created:
    """Make a network. Raises UsageError; ConflictError for a name or a subnet that is taken; NotSupportedError."""
    from sandbox.network.create import create_network

    with open_state(context.paths) as connection:
        return create_network(connection, context.paths, request)


def list_all(context: OperationContext, filters: Sequence[str] = ()) -> list[Network]:
    """The networks that pass every filter ("label=a=b"), by name. Raises UsageError, FilterError."""
    from sandbox.grammar.filters import parse_filters
    from sandbox.network.removal import used_networks
    from sandbox.network.store import all_networks

    wanted = parse_filters(filters, _FILTERS)
    for kind in wanted.of("type"):
        if kind not in ("custom", "builtin"):
            raise FilterError(f"invalid filter: 'type'='{kind}'", mend="--filter type=custom")
    with open_state(context.paths, durable=False) as connection:
        used = used_networks(connection) if wanted.given("dangling") else set()
        return [network for network in all_networks(connection) if _fits(wanted, network, network.name in used)]


def _fits(wanted: Filters, network: Network, used: bool) -> bool:
    # Docker: what is always there is never dangling
    dangling = not used and not network.is_predefined
    return (
        wanted.flag("dangling") in (None, dangling)
        and wanted.match_exact("driver", network.driver)
        and wanted.match("id", network.id.startswith)
        and wanted.match_labels(network.labels)
        and wanted.match("name", lambda text: text in network.name)
        and wanted.match_exact("scope", network.scope)
        and wanted.match_exact("type", "builtin" if network.is_predefined else "custom")
    )


def inspect(context: OperationContext, word: str, *, verbose: bool = False) -> dict[str, Any]:
    """Docker's document of a network; a verbose one says what its bridge is, what of the host it hides from its
    containers (a VPN may have come since it was made), and what keeps it going. Raises NotFoundError.
    """
    from sandbox.network.document import describe_bridge, describe_network
    from sandbox.network.store import containers_without_wires, endpoints_on, find_network

    with open_state(context.paths, durable=False) as connection:
        network = _with_subnet(connection, context.paths, find_network(connection, word))
        endpoints = endpoints_on(connection, network.id)
        names = dict(connection.execute("SELECT id, name FROM container").fetchall()) if endpoints else {}
        if not network.is_bridged:
            names = containers_without_wires(connection, network)
    document = describe_network(network, endpoints, names)
    if verbose and network.is_bridged:
        document |= describe_bridge(network) | {"Keeper": _describe_keeper(context)}
    return document


def _describe_keeper(context: OperationContext) -> dict[str, Any] | None:
    from sandbox.network.keeper import ask_keeper, describe_keeper

    try:
        info = ask_keeper(context.paths)
    except HostError as error:
        return {"Error": f"{error.message}: {error.cause}"}
    return describe_keeper(info) if info is not None else None


def _with_subnet(connection: sqlite3.Connection, paths: Paths, network: Network) -> Network:
    """The network `bridge` has a subnet from when somebody looks at it, or uses it."""
    if network.name != "bridge" or network.subnet4:
        return network
    from sandbox.network.create import give_default_subnet
    from sandbox.network.store import find_network
    from sandbox.transactions import transaction

    with transaction(connection):
        present = find_network(connection, network.id)
        return present if present.subnet4 else give_default_subnet(connection, paths, present)


def remove(context: OperationContext, word: str, *, force: bool = False) -> bool:
    """Remove the network; by force one that is not there is no error, and False comes back. Raises NotFoundError;
    ConflictError where a container that runs is on it, and for those that are always there.
    """
    from sandbox.network.removal import remove_network

    try:
        with open_state(context.paths, frees=True) as connection:
            remove_network(connection, word)
    except NotFoundError:
        if not force:
            raise
        return False
    return True


def prune(context: OperationContext, filters: Sequence[str] = ()) -> tuple[str, ...]:
    """Remove the networks that no container is on, or is to be on, and that pass every filter (until, label, label!);
    their names. Raises UsageError, FilterError.
    """
    import time

    from sandbox.grammar.prune_filters import read_prune_filters
    from sandbox.network.removal import prune_networks

    wanted = read_prune_filters(filters, time.time_ns())
    return prune_networks(context.paths, lambda network: wanted.accept(network.created_ns, network.labels))
