"""Which networks a container is to be on when it runs."""

from __future__ import annotations

from sandbox.network.mode import uses_bridge
from sandbox.values import EndpointRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerConfig

DEFAULT_NETWORK = "bridge"


def network_names(config: ContainerConfig) -> tuple[str, ...]:
    """The networks that the container is on, or is to be; for other modes "host", "none" or "container:ID"."""
    if config.endpoints:
        return tuple(sorted(endpoint.network for endpoint in config.endpoints))
    return (DEFAULT_NETWORK if config.network == "default" else config.network,)


def requested_endpoints(config: ContainerConfig) -> tuple[EndpointRequest, ...]:
    """The networks that the container is to be put on, the first one's interface being eth0; none where its network is
    its own alone, the host's or another container's.
    """
    if config.endpoints:
        return config.endpoints
    if not uses_bridge(config.network):
        return ()
    name = DEFAULT_NETWORK if config.network == "default" else config.network
    return (EndpointRequest(name, config.network_aliases),)
