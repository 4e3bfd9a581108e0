"""The published ports of a container that runs, held against its networks.

Nothing is bound for a container that is on internal networks alone, or on none. When the first network comes that leads
out its ports are bound, and closed when the last one goes, as Docker has it. What is to be published stays as it was
asked for: the next start sees to it by itself.
"""

from __future__ import annotations

from sandbox.container.life.asking import call_monitor
from sandbox.container.life.stop import is_active
from sandbox.container.model.port_changes import is_of
from sandbox.container.model.store import load_container
from sandbox.errors import ConflictError
from sandbox.network.forward_targets import with_host_binding
from sandbox.network.store import endpoints_of
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.paths import Paths


def follow_networks(paths: Paths, container_id: str) -> None:
    """Bind the ports, or close them, as the networks are by now. Raises ConflictError where a port is taken,
    SandboxError.
    """
    with open_state(paths, durable=False) as connection:
        container = load_container(connection, container_id)
        endpoints = endpoints_of(connection, container_id)
    if container is None or not is_active(container):
        return
    bound = container.state.published_ports
    if all(endpoint.network.internal for endpoint in endpoints):
        if bound:
            call_monitor(paths, container, "unbind")
        return
    from sandbox.container.life.handshake import ports_to_publish  # an internal container's changes need none of it

    wanted = [port for port in ports_to_publish(container) if not any(is_of(one, port) for one in bound)]
    if not wanted:
        return
    from sandbox.container.life.ports import check_host  # few containers are connected when their ports are due

    ports = with_host_binding(endpoints, wanted)
    try:
        check_host(paths, container, ports)
    except ConflictError as error:
        # of the holder's two ways out the one that is the holder's: a further port would not do
        holder = error.mend.partition("; or: ")[2]
        error.mend = holder or "end what listens on it, and connect the container again"
        raise
    call_monitor(paths, container, "bind", ports=[list(port) for port in ports])
