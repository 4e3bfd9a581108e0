"""Publishing ports, by who starts a container: he is told by whom a port is taken."""

from __future__ import annotations

from net.errors import NetError
from net.host_ports import PortInUseError, PrivilegedPortError
from net.port_texts import join_address
from net.ports import PortMapping
from sandbox.errors import StartError
from sandbox.network.requested import DEFAULT_NETWORK
from sandbox.state import open_state
from sandbox.values import PublishedPort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from net.listeners import Listener
    from net.ports import Forward
    from sandbox.container.model.record import Container
    from sandbox.network.record import Endpoint
    from sandbox.paths import Paths


def publish_ports(
    paths: Paths, container: Container, slirp_socket: str, ports: Sequence[PublishedPort], address: str = ""
) -> tuple[PublishedPort, ...]:
    """Bind every port, or none; returns them with the host ports they got. They lead to `address` of a bridge network,
    or into the network that is the container's own. Raises StartError.
    """
    from net.addresses import CONTAINER_ADDRESS
    from net.slirp_api import ForwardUnableError, SlirpSilentError, publish

    mappings = [PortMapping(*port) for port in ports]
    try:
        bound = publish(slirp_socket, mappings, address=address or CONTAINER_ADDRESS)
    except SlirpSilentError as error:
        raise StartError(
            f"cannot publish the ports of container {container.name}", cause=error.cause, mend="sandbox doctor"
        ) from error
    except NetError as error:
        failure = _explained_start(paths, error, container, mappings)
        if isinstance(error, ForwardUnableError) and container.config.network == "default":
            # nobody asked for slirp4netns: it is there for want of a bridge
            failure.cause += ", and this host gave the container no bridge network, which could"
            failure.mend = "sandbox doctor bridge"
        raise failure from error
    return tuple(PublishedPort(*mapping) for mapping in bound)


def bind_ports(paths: Paths, container: Container, ports: Sequence[PublishedPort]) -> tuple[Listener, ...]:
    """Bind every port here, or none: one listening socket for each address. Raises StartError.

    Nothing is bound for a container that is on internal networks alone, as Docker has it. The network says at which of
    the host's addresses a port is that names none.
    """
    from net.listeners import open_listeners

    if container.config.network not in (DEFAULT_NETWORK, "pasta"):
        from sandbox.network.forward_targets import with_host_binding

        endpoints = _endpoints(paths, container)
        if all(endpoint.network.internal for endpoint in endpoints):
            return ()
        ports = with_host_binding(endpoints, ports)

    mappings = [PortMapping(*port) for port in ports]
    try:
        return open_listeners(mappings)
    except NetError as error:
        raise _explained_start(paths, error, container, mappings) from error


def address_for_slirp(
    paths: Paths, container: Container, ports: Sequence[PublishedPort]
) -> tuple[str, tuple[PublishedPort, ...]]:
    """The address to which slirp4netns forwards the ports of a container on bridge networks, and the ports as its
    network binds them; "" and none on internal ones alone. Raises StartError where it cannot.
    """
    from sandbox.network.forward_targets import forward_target, with_host_binding

    endpoints = _endpoints(paths, container)
    address = forward_target(endpoints).address4
    if not address and any(not endpoint.network.internal for endpoint in endpoints):
        raise StartError(
            f"cannot publish the ports of container {container.name}",
            cause="slirp4netns forwards to IPv4 addresses only, and its network has none",
            mend="leave --port-driver slirp4netns out",
        )
    return address, with_host_binding(endpoints, ports) if address else ()


def _endpoints(paths: Paths, container: Container) -> Sequence[Endpoint]:
    from sandbox.network.store import endpoints_of

    with open_state(paths, durable=False) as connection:
        return endpoints_of(connection, container.id)


def _explained_start(
    paths: Paths, error: NetError, container: Container, mappings: Sequence[PortMapping]
) -> StartError:
    taken = isinstance(error, PortInUseError)
    what = f"cannot start container {container.name}" if taken else f"container {container.name}"
    return explained(paths, error, mappings, what, "-p")


def explained(paths: Paths, error: NetError, mappings: Sequence[PortMapping], what: str, option: str) -> StartError:
    """Why a port could not be had, which is told as `what` failed; `option` is what asks for another one."""
    failure = StartError(f"{what}: {error.message}", cause=error.cause, mend=error.mend)
    if isinstance(error, PortInUseError):
        failure.mend = _other_option(error.forward, error.free_port, mappings, option) or error.mend
        from sandbox.network.port_holders import holder_of  # the unhappy way

        if holder := holder_of(paths, error):
            failure.cause = f"{holder.kind} {holder.name} publishes it"
            failure.mend += f"; or: sandbox {'stop' if holder.kind == 'container' else 'service rm'} {holder.name}"
    elif isinstance(error, PrivilegedPortError):
        other = _other_option(error.forward, error.free_port, mappings, option)
        failure.mend = f"{other}; or, by an administrator: {error.lower_start}" if other else error.mend
    return failure


def _other_option(forward: Forward, free_port: int, mappings: Sequence[PortMapping], option: str) -> str:
    """What to give in place of what asked for `forward`; "" where no port is known to be free."""
    for wanted in mappings:
        last = wanted.host_port_end or wanted.host_port
        if free_port and wanted.protocol == forward.protocol and wanted.host_port <= forward.host_port <= last:
            protocol = "" if wanted.protocol == "tcp" else f"/{wanted.protocol}"
            port = str(free_port)
            place = join_address(wanted.host_ip, port) if wanted.host_ip not in ("", "0.0.0.0") else port
            return f"{option} {place}:{wanted.container_port}{protocol}"
    return ""
