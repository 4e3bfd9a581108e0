"""What of a request cannot be: alone, or together."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.values import EndpointRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerConfig
    from sandbox.container.request.request import ContainerRequest


def refuse_nulls(request: ContainerRequest) -> None:
    """Raise UsageError for a text with a null character: it would end there for the kernel, and mean something else."""
    for field, value in zip(request._fields, request, strict=True):
        if value and _has_null(value):
            raise UsageError("a text cannot hold a null character", field=field)


def _has_null(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    return isinstance(value, tuple) and any(map(_has_null, value))


def check_conflicts(request: ContainerRequest, config: ContainerConfig) -> None:
    """Raise UsageError for two fields of `request`, as `config` has them, that cannot both be.

    `config` is what was merged so far: a request may say a thing in several ways.
    """
    if config.network.startswith("container:"):
        _check_joined_network(request, config)
    if config.hostname and config.uts_mode == "host":
        raise UsageError("conflicting options: hostname and the UTS mode", field="hostname")
    if config.restart.name != "no" and config.auto_remove:
        raise UsageError("conflicting options: cannot specify both --restart and --rm", field="restart")
    for position, (name, _value) in enumerate(request.sysctls):
        is_network = name.startswith("net.")
        mode = config.network if is_network else config.ipc_mode
        if mode == "host":
            namespace = "network" if is_network else "ipc"
            raise UsageError(f'sysctl "{name}" not allowed in host {namespace} namespace', field=f"sysctls[{position}]")


def _check_joined_network(request: ContainerRequest, config: ContainerConfig) -> None:
    for given, field, what in (
        (config.hostname, "hostname", "hostname and the network mode"),
        (config.dns, "dns", "dns and the network mode"),
        (config.extra_hosts, "extra_hosts", "custom host-to-IP mapping and the network mode"),
        (
            config.published_ports or config.publish_all,
            "published_ports",
            "port publishing and the container type network mode",
        ),
        (request.exposed_ports, "exposed_ports", "port exposing and the container type network mode"),
    ):
        if given:
            raise UsageError(f"conflicting options: {what}", field=field)


def joined_endpoints(request: ContainerRequest) -> tuple[EndpointRequest, ...]:
    """The networks to join, eth0 first: the endpoints, or the mode as the only one. Raises UsageError where the mode is
    none of several.
    """
    mode, endpoints = request.network_mode, request.endpoints
    if not endpoints:
        return (EndpointRequest(mode or "default"),)
    first = [endpoint for endpoint in endpoints if endpoint.network == mode]
    if mode and first:
        # Docker's clients give the mode beside all networks, in whatever order
        return (*first, *(endpoint for endpoint in endpoints if endpoint.network != mode))
    if mode:
        names = ", ".join(endpoint.network for endpoint in endpoints)
        raise UsageError(
            f"conflicting options: the network mode {mode} and the networks {names}",
            mend=f"--network {mode}",
            field="network_mode",
        )
    return endpoints


def require_command(config: ContainerConfig) -> None:
    """Raise UsageError for a container that has nothing to run; it may be made, to be exported say, but not run."""
    if not config.entrypoint and not config.command:
        raise UsageError("no command specified", mend=f"sandbox run {config.image} COMMAND", field="command")
