"""Which networks a container is to be on when it runs."""

from __future__ import annotations

from sandbox.errors import UsageError
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


def is_shaped(config: ContainerConfig) -> bool:
    """Whether the container's network is to be slower than it could be."""
    return bool(config.net_rate or config.net_delay or config.net_loss)


def require_shapeable(config: ContainerConfig) -> None:
    """Raise UsageError where a shaped container is on no bridge network: there is no wire that could be slow."""
    if is_shaped(config) and not uses_bridge(config.network):
        kind = "the default network of this host" if config.network == "default" else f"--network {config.network}"
        raise UsageError(
            "--net-rate, --net-delay and --net-loss need a bridge network",
            cause=f"{kind} is none",
            mend=f"--network {DEFAULT_NETWORK}",
            field="net_rate",
        )


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
