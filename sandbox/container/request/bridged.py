"""What a container can have on bridge networks only: rules of what it reaches, ports of the host's loopback, and a
choice of what carries its published ports.

Where no network was asked for, asking for one of them puts it on `bridge`.
"""

from __future__ import annotations

from net.egress import parse_egress
from net.errors import NetError
from sandbox.errors import UsageError
from sandbox.grammar.networks import is_user_defined
from sandbox.values import EndpointRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerConfig

_PORT_DRIVERS = ("builtin", "slirp4netns")
#: each is a socket and a rule
_MOST_HOST_PORTS = 64


def restricted(config: ContainerConfig, texts: tuple[str, ...]) -> ContainerConfig:
    """`config` with these texts of `--egress`. Raises UsageError for what is no rule, and on other networks."""
    try:
        parse_egress(texts)
    except NetError as error:
        raise UsageError(error.message, cause=error.cause, mend=error.mend) from error
    return _on_bridge(config, "egress rules")._replace(egress=texts)


def with_host_ports(config: ContainerConfig, ports: tuple[int, ...]) -> ContainerConfig:
    """`config` with ports of the host's loopback. Raises UsageError for what is no port, and on other networks."""
    for port in ports:
        if not 0 < port < 65536:
            raise UsageError(f"invalid host port: {port}", mend="--host-port 5432")
    if len(set(ports)) > _MOST_HOST_PORTS:
        raise UsageError(f"{len(set(ports))} host ports are too many", cause=f"{_MOST_HOST_PORTS} are the most")
    return _on_bridge(config, "host ports")._replace(host_ports=tuple(dict.fromkeys(ports)))


def with_port_driver(config: ContainerConfig, driver: str) -> ContainerConfig:
    """`config` with what carries published ports. Raises UsageError for an unknown one, and where it cannot.

    A network of the container's own leads to the world by one program, which carries the ports too.
    """
    if driver not in _PORT_DRIVERS:
        raise UsageError(f"invalid port driver: {driver}", mend=f"--port-driver {' or '.join(_PORT_DRIVERS)}")
    #: networks of the container's own, and what carries the ports of each
    own = {"slirp4netns": "slirp4netns", "pasta": "builtin", "default": "builtin"}
    if own.get(config.network) == driver:
        return config
    if config.network in ("slirp4netns", "pasta"):
        raise UsageError(
            f"conflicting options: the port driver {driver} and the network mode {config.network}",
            mend="--network bridge",
        )
    config = _on_bridge(config, "a port driver")
    return config._replace(port_driver="" if driver == "builtin" else driver)


def _on_bridge(config: ContainerConfig, what: str) -> ContainerConfig:
    if config.network == "default":
        return config._replace(network="bridge", endpoints=(EndpointRequest("bridge", config.network_aliases),))
    if config.network != "bridge" and not is_user_defined(config.network):
        raise UsageError(f"conflicting options: {what} and the network mode {config.network}", mend="--network bridge")
    return config
