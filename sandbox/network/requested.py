"""Which networks a container is to be on when it runs."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.network.mode import network_mode, uses_bridge
from sandbox.values import EndpointRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerConfig

DEFAULT_NETWORK = "bridge"


def network_names(config: ContainerConfig) -> tuple[str, ...]:
    """The networks that the container is on, or is to be; for other modes "host", "none" or "container:ID"."""
    if config.endpoints or is_taken_off(config):
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
    its own alone, the host's or another container's, and where it was taken off all.
    """
    if config.endpoints or config.network != "default" or not uses_bridge(config.network):
        return config.endpoints
    return (EndpointRequest(DEFAULT_NETWORK, config.network_aliases),)


def has_ipv6_off(config: ContainerConfig) -> bool:
    """Whether the container's own network is to have no IPv6 (`--sysctl net.ipv6.conf.all.disable_ipv6=1`)."""
    settings = dict(config.sysctls)
    return any(settings.get(f"net.ipv6.conf.{which}.disable_ipv6", "0") != "0" for which in ("all", "default"))


def is_taken_off(config: ContainerConfig) -> bool:
    """Whether the container was disconnected from every network that it had."""
    return not config.endpoints and config.network != "default" and network_mode(config.network) == "bridge"
