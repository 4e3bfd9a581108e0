"""Published ports of a container added and removed, whether it runs or not, and kept for its next start.

Of one that runs the monitor does it, and writes down in one transaction what is bound and what is to be bound again: so
neither the command nor the monitor can die in between and leave the one without the other.
"""

from __future__ import annotations

from net.errors import NetError
from net.host_ports import check_free, has_ipv6
from net.ports import Forward, PortMapping, addresses_overlap
from sandbox.container.life.asking import call_monitor
from sandbox.container.life.publish import explained
from sandbox.container.life.settled import open_settled
from sandbox.container.life.stop import is_active
from sandbox.container.model.port_changes import PortsAdded, PortsRemoved, ports_named
from sandbox.container.model.store import load_container, write_ports
from sandbox.container.request.updating import check_added
from sandbox.errors import ConflictError, NotFoundError, SandboxError
from sandbox.network.mode import network_mode
from sandbox.network.store import endpoints_of
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths
    from sandbox.values import PublishedPort

_EVERY_ADDRESS = "0.0.0.0"


def add_ports(paths: Paths, word: str, ports: tuple[PublishedPort, ...]) -> tuple[PublishedPort, ...]:
    """Publish the ports, all or none; they come back as they are bound, or of a container that does not run as they
    were asked for. Raises NotFoundError, UsageError, ConflictError where a port is taken, SandboxError.
    """
    check_added(ports)
    container = _look_up(paths, word)
    _refuse_network(container)
    if is_active(container) and network_mode(container.config.network) == "bridge":
        ports = _bound_by_network(paths, container, ports)
    present = _present(container)
    for port in ports:
        _refuse_present(container, port, present)
    if not is_active(container):
        _write(paths, container, PortsAdded(ports))
        return ports
    check_host(paths, container, ports)
    _ask(paths, container, "publish", ports)
    return tuple(port for port in _bound(paths, container) if port not in present)


def remove_ports(paths: Paths, word: str, wanted: tuple[PublishedPort, ...]) -> tuple[PublishedPort, ...]:
    """Publish no more what `wanted` names: a port of the container, of a host port of 0 with all that lead to it. They
    come back. Raises NotFoundError, also for a port that is not published; SandboxError.
    """
    container = _look_up(paths, word)
    present = _present(container)
    gone: list[PublishedPort] = []
    for one in wanted:
        found = ports_named(present, one)
        if not found:
            port = f"{one.container_port}/{one.protocol}"
            host = f" at {one.host_ip or _EVERY_ADDRESS}:{one.host_port}" if one.host_port else ""
            raise NotFoundError(f"No public port '{port}'{host} published for {word}", mend=f"sandbox port {word}")
        gone += (port for port in found if port not in gone)
    if is_active(container):
        _ask(paths, container, "unpublish", tuple(gone))
    else:
        _write(paths, container, PortsRemoved(tuple(gone)))
    return tuple(gone)


def _look_up(paths: Paths, word: str) -> Container:
    with open_state(paths) as connection:
        return open_settled(connection, paths, word, "port")


def _present(container: Container) -> tuple[PublishedPort, ...]:
    bound = container.state.published_ports if is_active(container) else ()
    # of one on internal networks alone nothing is bound
    return bound or container.config.published_ports


def _refuse_network(container: Container) -> None:
    if network_mode(container.config.network) in ("private", "bridge"):
        return
    network = container.config.network
    cause, mend = "it has no network (--network none)", ""
    if network == "host":
        cause = "it is on the host's network: what it listens on is the host's already"
    elif network.startswith("container:"):
        owner = network.removeprefix("container:")
        cause, mend = f"it shares the network of container {owner}", f"sandbox port add {owner} 8080:80"
    raise ConflictError(f"cannot publish a port of container {container.name}", cause=cause, mend=mend)


def _bound_by_network(
    paths: Paths, container: Container, ports: tuple[PublishedPort, ...]
) -> tuple[PublishedPort, ...]:
    """The ports as the networks of a container that runs bind them. Raises ConflictError where they bind none."""
    from sandbox.network.forward_targets import with_host_binding

    with open_state(paths, durable=False) as connection:
        endpoints = endpoints_of(connection, container.id)
    if all(endpoint.network.internal for endpoint in endpoints):
        raise ConflictError(
            f"cannot publish a port of container {container.name}",
            cause="it is on internal networks alone, to which no port leads" if endpoints else "it is on no network",
            mend=f"sandbox network connect NETWORK {container.name}",
        )
    return with_host_binding(endpoints, ports)


def _refuse_present(container: Container, port: PublishedPort, present: tuple[PublishedPort, ...]) -> None:
    for other in present:
        fixed = port.host_port and not port.host_port_end
        same = (port.host_port, port.protocol) == (other.host_port, other.protocol)
        if fixed and same and addresses_overlap(port.host_ip, other.host_ip):
            place = f"{other.host_ip or _EVERY_ADDRESS}:{other.host_port}"
            raise ConflictError(
                f"cannot publish a port of container {container.name}: it publishes {place}/{port.protocol} already",
                cause=f"for its port {other.container_port}/{other.protocol}",
                mend=f"sandbox port rm {container.name} {other.host_port}:{other.container_port}/{other.protocol}",
            )


def check_host(paths: Paths, container: Container, ports: tuple[PublishedPort, ...]) -> None:
    """Raise ConflictError where a port is taken: by whom, this process sees, and the monitor does not."""
    mappings = [PortMapping(*port) for port in ports]
    network = container.config.network
    of_slirp = container.config.port_driver or (network_mode(network) == "private" and network != "pasta")
    every = ("0.0.0.0",) if of_slirp or not has_ipv6() else ("0.0.0.0", "::")
    for one in mappings:
        if one.host_port and not one.host_port_end:
            try:
                for address in (one.host_ip,) if one.host_ip else every:
                    check_free(Forward(address, one.host_port, one.protocol))
            except NetError as error:
                what = f"cannot publish a port of container {container.name}"
                told = explained(paths, error, mappings, what, f"sandbox port add {container.name}")
                raise ConflictError(told.message, cause=told.cause, mend=told.mend) from error


def _ask(paths: Paths, container: Container, verb: str, ports: tuple[PublishedPort, ...]) -> None:
    try:
        call_monitor(paths, container, verb, ports=[list(port) for port in ports])
    except SandboxError as error:
        if "not running" not in error.message:
            error.message = f"cannot {verb} a port of container {container.name}: {error.message}"
        raise


def _bound(paths: Paths, container: Container) -> tuple[PublishedPort, ...]:
    with open_state(paths, durable=False) as connection:
        present = load_container(connection, container.id)
    return present.state.published_ports if present is not None else ()


def _write(paths: Paths, container: Container, change: PortsAdded | PortsRemoved) -> None:
    with open_state(paths) as connection:
        if not write_ports(connection, container.id, change):
            raise ConflictError(
                f"container {container.name} was started or removed meanwhile", mend=f"sandbox port {container.name}"
            )
