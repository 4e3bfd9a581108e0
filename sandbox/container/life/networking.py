"""A container put on a network, or taken off, whether it runs or not, and kept so for its next start.

What the record says is written first, with the address of one that runs; then its monitor is asked to hold the
interfaces against the record. Where it cannot, the record is put back: a SIGKILL in between leaves a record that the
next start fulfils.
"""

from __future__ import annotations

from contextlib import suppress

from sandbox.container.life.asking import call_monitor
from sandbox.container.life.bound_ports import follow_networks
from sandbox.container.life.settled import open_settled
from sandbox.container.life.stop import is_active
from sandbox.container.model.endpoint_rows import free_endpoints
from sandbox.container.model.linked import parents_of, unlink
from sandbox.container.model.store import load_container, write_networks
from sandbox.errors import ConflictError, ForbiddenError, NotFoundError, SandboxError, UsageError
from sandbox.network.allocate import give_endpoint
from sandbox.network.joining import known_endpoint
from sandbox.network.mode import network_mode
from sandbox.network.requested import DEFAULT_NETWORK, requested_endpoints
from sandbox.network.store import endpoints_of, find_network, insert_endpoint, tell_network
from sandbox.state import IntegrityError, open_state
from sandbox.transactions import transaction
from sandbox.values import EndpointRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from sandbox.container.model.record import Container, ContainerConfig
    from sandbox.network.record import Endpoint, Network
    from sandbox.paths import Paths

_NO_MORE = "container sharing network namespace with another container or host cannot be connected to any other network"
_NONE = "container cannot be connected to multiple networks with one of the networks in private (none) mode"
_HOST = "container cannot be disconnected from host network or connected to host network"


def connect_container(paths: Paths, word: str, request: EndpointRequest) -> None:
    """Put the container on a network. Raises NotFoundError, UsageError, ConflictError, SandboxError."""
    with open_state(paths) as connection:
        container = open_settled(connection, paths, word, "network connect")
        network = find_network(connection, request.network)
        _refuse(container, network)
        with transaction(connection):
            present = _present(connection, container)
            before = present.config
            wanted = known_endpoint(connection, request)
            others = [one for one in _endpoints(before) if one.network != wanted.network]
            if is_active(present):
                _refuse_second(connection, present, network)
                give_endpoint(connection, paths, present, wanted)
            write_networks(connection, present.id, _mode(before), (*others, wanted))
        if not is_active(present):
            return
    try:
        _ask(paths, present, f"connect container {present.name} to network {network.name}")
        follow_networks(paths, present.id)
        tell_linked(paths, present)
    except SandboxError:
        if _undo_connect(paths, present, before, network):
            # a wire that is there already, and was of no use without the ports
            with suppress(SandboxError):
                call_monitor(paths, present, "networks")
            raise


def disconnect_container(paths: Paths, word: str, network_word: str, *, force: bool = False) -> None:
    """Take the container off a network; by force it is no error where it is not on it. Raises NotFoundError,
    ConflictError, SandboxError.
    """
    with open_state(paths) as connection:
        try:
            network = find_network(connection, network_word)
        except NotFoundError:
            if not _forget_network(connection, paths, word, network_word):
                raise
            return
        container = open_settled(connection, paths, word, "network disconnect")
        if not network.is_bridged or container.config.network == "host":
            raise UsageError(_HOST, mend=f"sandbox rm -f {container.name}, and run it with another --network")
        with transaction(connection):
            present = _present(connection, container)
            before = present.config
            rest = tuple(one for one in _endpoints(before) if one.network != network.name)
            if len(rest) == len(_endpoints(before)):
                if force:
                    return
                raise SandboxError(
                    f"container {present.id} is not connected to network {network.name}",
                    mend=f"sandbox inspect {present.name}",
                )
            if is_active(present):
                _refuse_private(present)
            gone = [one for one in endpoints_of(connection, present.id) if one.network.id == network.id]
            free_endpoints(connection, present.id, network.id)
            write_networks(connection, present.id, _mode(before), rest)
        if not is_active(present):
            return
    try:
        _ask(paths, present, f"disconnect container {present.name} from network {network.name}")
    except SandboxError:
        if _undo_disconnect(paths, present, network, before, gone):
            raise
    follow_networks(paths, present.id)
    tell_linked(paths, present)


def _forget_network(connection: sqlite3.Connection, paths: Paths, word: str, network: str) -> bool:
    """Have a container that does not run be on a network no more that was removed meanwhile; whether it was to be."""
    container = open_settled(connection, paths, word, "network disconnect")
    with transaction(connection):
        present = _present(connection, container)
        rest = tuple(one for one in present.config.endpoints if one.network != network)
        if is_active(present) or rest == present.config.endpoints:
            return False
        write_networks(connection, present.id, _mode(present.config), rest)
    return True


def remove_link(paths: Paths, word: str) -> None:
    """Forget the link that "web/database" names. Raises NotFoundError, ConflictError."""
    with open_state(paths) as connection, transaction(connection):
        container = unlink(connection, word)
    if is_active(container):
        # one that ends just now calls nobody any more
        with suppress(SandboxError):
            call_monitor(paths, container, "networks")


def tell_linked(paths: Paths, container: Container) -> None:
    """Have those that call the container by a link, and run, find it at its present address."""
    with open_state(paths, durable=False) as connection:
        parents = parents_of(connection, container.name)
    for parent in parents:
        if is_active(parent):
            # one that ends just now calls nobody any more
            with suppress(SandboxError):
                call_monitor(paths, parent, "networks")


def _ask(paths: Paths, container: Container, what: str) -> None:
    """Have the monitor hold its interfaces against the record. Raises SandboxError."""
    try:
        call_monitor(paths, container, "networks")
    except SandboxError as error:
        error.message = f"cannot {what}: {error.message}"
        raise


def _undo_connect(paths: Paths, container: Container, before: ContainerConfig, network: Network) -> bool:
    """Put back what was written of a container that runs; whether it does: else its next start does what was asked."""
    with open_state(paths) as connection, transaction(connection):
        present = load_container(connection, container.id)
        if present is None or not is_active(present):
            return False
        free_endpoints(connection, container.id, network.id)
        # what another command has changed meanwhile stands
        rest = tuple(one for one in _endpoints(present.config) if one.network != network.name)
        write_networks(
            connection, container.id, before.network, before.endpoints if rest == _endpoints(before) else rest
        )
    return True


def _undo_disconnect(
    paths: Paths, container: Container, network: Network, before: ContainerConfig, gone: Sequence[Endpoint]
) -> bool:
    """Put back what was taken from a container that runs; whether it does: else its next start does what was asked.

    Another command may have changed its networks meanwhile, and stands then.
    """
    with open_state(paths) as connection, transaction(connection):
        present = load_container(connection, container.id)
        if present is None or not is_active(present):
            return False
        former, now = _endpoints(before), _endpoints(present.config)
        lost = [one for one in former if one.network == network.name]
        if any(one.network == network.name for one in now):
            return True
        kept = [one for one in former if one in now or one in lost]
        endpoints = (*kept, *(one for one in now if one not in kept))
        write_networks(connection, container.id, before.network, endpoints)
        for endpoint in gone:
            try:
                insert_endpoint(connection, endpoint)
            except IntegrityError:
                # its address or its interface's name is another's by now
                give_endpoint(connection, paths, present, lost[0])
            else:
                tell_network(connection, "connect", network, container.id)
    return True


def _present(connection: sqlite3.Connection, container: Container) -> Container:
    present = load_container(connection, container.id)
    if present is None or present.state.status == "removing":
        raise NotFoundError(f"No such container: {container.name}", cause="it was removed meanwhile")
    return present


def _endpoints(config: ContainerConfig) -> tuple[EndpointRequest, ...]:
    """Where the container is, or will be; one of the default network is told by name from now on."""
    if config.network == "default":
        return requested_endpoints(config) or (EndpointRequest(DEFAULT_NETWORK, config.network_aliases),)
    return config.endpoints


def _mode(config: ContainerConfig) -> str:
    return DEFAULT_NETWORK if config.network == "default" else config.network


def _refuse(container: Container, network: Network) -> None:
    """Raise UsageError where Docker does: for networks that are one's only one."""
    mode = network_mode(container.config.network)
    refusal = ""
    if network.driver == "host" or mode == "host":
        refusal = _HOST if network.driver == "host" else _NO_MORE
    elif network.driver == "null" or mode == "none":
        refusal = _NONE
    elif mode == "join":
        refusal = _NO_MORE
    if refusal:
        raise UsageError(
            refusal,
            cause=f"container {container.name} was made with --network {container.config.network}",
            mend=f"sandbox run --network {network.name if network.driver == 'bridge' else 'NETWORK'} …",
        )
    if is_active(container) or container.config.network != "default":
        _refuse_private(container)


def _refuse_private(container: Container) -> None:
    if network_mode(container.config.network) == "private":
        leads_out = "pasta" if container.config.network == "pasta" else "slirp4netns"
        raise ConflictError(
            f"container {container.name} is on no network that others are on",
            cause=f"it has a network of its own behind {leads_out}",
            mend=f"sandbox stop {container.name}, connect it, and sandbox start {container.name}"
            if container.config.network == "default"
            else "sandbox run --network NETWORK …",
        )


def _refuse_second(connection: sqlite3.Connection, container: Container, network: Network) -> None:
    if any(one.network.id == network.id for one in endpoints_of(connection, container.id)):
        raise ForbiddenError(
            f"endpoint with name {container.name} already exists in network {network.name}",
            mend=f"sandbox network disconnect {network.name} {container.name}",
        )
