"""Who of ours has a port of the host: a container, or a service."""

from __future__ import annotations

from net.ports import addresses_overlap
from sandbox.container.model.claims import claim_of
from sandbox.container.model.store import all_containers
from sandbox.named_tuple import NamedTuple
from sandbox.network.service_forwarders import forwarder_of
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from net.host_ports import PortInUseError
    from sandbox.paths import Paths


class PortHolder(NamedTuple):
    kind: Literal["container", "service"]
    name: str
    id: str


def holder_of(paths: Paths, error: PortInUseError) -> PortHolder | None:
    """Who has the port that could not be had; None where it is nobody of ours."""
    service = forwarder_of(error.pid) if error.pid else None
    if service is not None:
        return PortHolder("service", service[2], service[1])
    forward = error.forward
    with open_state(paths, durable=False) as connection:
        containers = all_containers(connection)
    for container in containers:
        for port in container.state.published_ports:
            if (
                (port.host_port, port.protocol) == (forward.host_port, forward.protocol)
                and addresses_overlap(port.host_ip, forward.host_ip)
                and claim_of(container.state).is_alive
            ):
                return PortHolder("container", container.name, container.id)
    return None
