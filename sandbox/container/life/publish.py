"""Publishing ports through slirp4netns, by who starts a container: he is told by whom a port is taken."""

from __future__ import annotations

from net.errors import NetError
from net.host_ports import PortInUseError, PrivilegedPortError
from net.ports import PortMapping, addresses_overlap
from net.slirp_api import SlirpSilentError, publish
from sandbox.container.life.lookup import present_containers
from sandbox.errors import StartError
from sandbox.state import open_state
from sandbox.values import PublishedPort

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from net.ports import Forward
    from sandbox.container.model.record import Container
    from sandbox.paths import Paths


def publish_ports(
    paths: Paths, container: Container, slirp_socket: str, ports: Sequence[PublishedPort]
) -> tuple[PublishedPort, ...]:
    """Bind every port, or none; returns them with the host ports they got. Raises StartError."""
    mappings = [PortMapping(*port) for port in ports]
    try:
        bound = publish(slirp_socket, mappings)
    except PortInUseError as error:
        failure = StartError(f"cannot start container {container.name}: {error.message}", cause=error.cause)
        holder = _holder(paths, error)
        failure.mend = _other_option(error.forward, error.free_port, mappings) or error.mend
        if holder:
            failure.cause = f"container {holder} publishes it"
            failure.mend += f"; or: sandbox stop {holder}"
        raise failure from error
    except PrivilegedPortError as error:
        message = f"container {container.name}: {error.message}"
        option = _other_option(error.forward, error.free_port, mappings)
        mend = f"{option}; or, by an administrator: {error.lower_start}" if option else error.mend
        raise StartError(message, cause=error.cause, mend=mend) from error
    except SlirpSilentError as error:
        raise StartError(
            f"cannot publish the ports of container {container.name}", cause=error.cause, mend="sandbox doctor"
        ) from error
    except NetError as error:
        message = f"container {container.name}: {error.message}"
        raise StartError(message, cause=error.cause, mend=error.mend) from error
    return tuple(PublishedPort(*mapping) for mapping in bound)


def _other_option(forward: Forward, free_port: int, mappings: Sequence[PortMapping]) -> str:
    """The option to give in place of the one that asked for `forward`; "" where no port is known to be free."""
    for wanted in mappings:
        last = wanted.host_port_end or wanted.host_port
        if free_port and wanted.protocol == forward.protocol and wanted.host_port <= forward.host_port <= last:
            protocol = "" if wanted.protocol == "tcp" else f"/{wanted.protocol}"
            address = f"{wanted.host_ip}:" if wanted.host_ip not in ("", "0.0.0.0") else ""
            return f"-p {address}{free_port}:{wanted.container_port}{protocol}"
    return ""


def _holder(paths: Paths, error: PortInUseError) -> str:
    """The name of the container of ours that has the port, "" where it is somebody else."""
    forward = error.forward
    with open_state(paths, durable=False) as connection:
        containers = present_containers(connection, paths)
    for container in containers:
        for port in container.state.published_ports:
            if (port.host_port, port.protocol) == (forward.host_port, forward.protocol) and addresses_overlap(
                port.host_ip, forward.host_ip
            ):
                return container.name
    return ""
