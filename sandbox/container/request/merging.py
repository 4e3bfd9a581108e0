"""From a request, the image's own defaults and a few facts to the configuration that is kept.

`merge` is a function of its arguments: it sees no command line, no directory, no environment and no file, and what it
has to tell comes back as notes. The module that reads a kind of value is imported only where one of that kind is there:
`run` pays for what it uses.
"""

from __future__ import annotations

import os

from sandbox.container.model.record import ContainerConfig
from sandbox.container.request.conflicts import check_conflicts, refuse_nulls
from sandbox.errors import UsageError, at_field, each_at_field
from sandbox.named_tuple import NamedTuple
from sandbox.values import HealthCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.container.request.image_defaults import ImageDefaults
    from sandbox.container.request.request import ContainerRequest
    from sandbox.values import MountPoint

#: the words for each namespace that may be shared; beside them container:NAME, but for the host's name
_MODES = {"pid_mode": ("host",), "ipc_mode": ("host", "private", "none", "shareable"), "uts_mode": ("host",)}
_NO_CHECK = HealthCheck(("NONE",))
#: the fields that `merged_limits` is for
_LIMITS = (
    "memory_bytes", "memory_swap_bytes", "memory_reservation_bytes", "nano_cpus", "cpu_period_us", "cpu_quota_us",
    "cpu_shares", "cpuset_cpus", "pids_limit", "best_effort", "rlimits", "sysctls", "shm_size_bytes",
    "storage_options", "oom_score_adjust",
)  # fmt: skip


class HostFacts(NamedTuple):
    """What a configuration takes from the store: the image as it lies there, and the mounts of other containers."""

    image_id: str = ""  # sha256:…
    layers: tuple[str, ...] = ()  # chain ids, lowest first
    platform: str = ""
    #: of each container that `volumes_from` names
    mounts_of: Mapping[str, tuple[MountPoint, ...]] = {}


class Merged(NamedTuple):
    config: ContainerConfig
    #: what the one who asked should read, a sentence each
    notes: tuple[str, ...] = ()


def merge(request: ContainerRequest, defaults: ImageDefaults, facts: HostFacts) -> Merged:
    """The configuration that `request` asks for, over the image's defaults.

    Raises UsageError, which names the field that is at fault; ImageError for an image's volume that cannot be.
    """
    refuse_nulls(request)
    entrypoint, command = _words(request, defaults)
    config = ContainerConfig(
        request.image,
        facts.image_id,
        entrypoint,
        command,
        layers=facts.layers,
        platform=facts.platform,
        storage_driver=request.storage_driver or "",
        trace_path=request.trace_path or "",
    )
    config = _add_process(request, defaults, config)
    config = _add_lifecycle(request, defaults, config)
    config = _add_network(request, defaults, config)
    config = _add_isolation(request, config)
    if any(getattr(request, field) for field in _LIMITS):
        from sandbox.container.request.merged_limits import add_limits

        config = add_limits(request, config)
    check_conflicts(request, config)
    if request.binds or request.mounts or request.tmpfs or request.volumes_from or defaults.volumes:
        from sandbox.container.request.merged_mounts import merged_mounts

        config = config._replace(mounts=merged_mounts(request, defaults, facts.mounts_of))
    if request.secrets or request.configs:
        from sandbox.container.request.merged_grants import add_grants

        config = add_grants(request, config)
    return _without_lost_ports(config)


def _words(request: ContainerRequest, defaults: ImageDefaults) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Entrypoint and command as Docker merges them: a given entrypoint drops the image's command too."""
    if request.entrypoint:
        # Docker's way to say "none, and no command of the image either"
        entrypoint = () if request.entrypoint == ("",) else request.entrypoint
        return entrypoint, request.command or ()
    entrypoint = defaults.entrypoint if request.entrypoint is None else ()
    return entrypoint, defaults.command if request.command is None else request.command


def _add_process(request: ContainerRequest, defaults: ImageDefaults, config: ContainerConfig) -> ContainerConfig:
    environment = defaults.environment
    if request.environment:
        from sandbox.grammar.environment import merge_environment, parse_variable

        each_at_field("environment", lambda text: parse_variable(text, {}), request.environment)
        environment = merge_environment(environment, request.environment)
    labels = tuple(sorted(defaults.labels.items()))
    if request.labels:
        from sandbox.grammar.labels import merge_labels

        labels = merge_labels(defaults.labels, dict(request.labels))
    directory = request.working_directory or defaults.working_directory or "/"
    if not directory.startswith("/"):
        raise UsageError(
            f"the working directory '{directory}' is invalid, it needs to be an absolute path",
            mend=f"-w /{directory}",
            field="working_directory",
        )
    if os.path.normpath(directory) != directory:
        from sandbox.grammar.volumes import clean_path

        directory = clean_path(directory)
    return config._replace(
        environment=environment,
        labels=labels,
        working_directory=directory,
        user=request.user or defaults.user,
        group_add=request.group_add,
        terminal=bool(request.terminal),
        open_stdin=bool(request.open_stdin),
        stdin_once=bool(request.stdin_once),
        init=bool(request.init),
    )


def _add_lifecycle(request: ContainerRequest, defaults: ImageDefaults, config: ContainerConfig) -> ContainerConfig:
    if request.stop_signal:
        from sandbox.grammar.signals import parse_signal

        with at_field("stop_signal"):
            parse_signal(request.stop_signal)
    if request.restart:
        from sandbox.grammar.restart import check_restart

        with at_field("restart"):
            config = config._replace(restart=check_restart(*request.restart))
    if request.log:
        from sandbox.grammar.logs import check_log

        with at_field("log"):
            config = config._replace(log=check_log(*request.log))
    return config._replace(
        auto_remove=bool(request.auto_remove),
        stop_signal=request.stop_signal or defaults.stop_signal,
        stop_timeout_seconds=request.stop_timeout_seconds,
        health=_health(request.health, defaults.health),
        shell=defaults.shell,
    )


def _health(asked: HealthCheck | None, image: HealthCheck) -> HealthCheck:
    if asked is None or asked == _NO_CHECK:
        return asked or image
    from sandbox.grammar.health import check_health, merge_health

    with at_field("health"):
        return merge_health(image, check_health(asked))


def _add_network(request: ContainerRequest, defaults: ImageDefaults, config: ContainerConfig) -> ContainerConfig:
    """Network, names, addresses and ports."""
    if request.endpoints or request.network_mode not in (None, "none", "host"):
        from sandbox.container.request.conflicts import joined_endpoints
        from sandbox.grammar.networks import joined_networks

        endpoints = joined_endpoints(request)
        with at_field("endpoints[0]" if request.endpoints else "network_mode"):
            network, aliases, joined = joined_networks(endpoints)
            config = config._replace(network=network, network_aliases=aliases, endpoints=joined)
    elif request.network_mode:
        config = config._replace(network=request.network_mode)
    if request.hostname or request.domain_name:
        from sandbox.grammar.hosts import parse_hostname

        config = config._replace(
            hostname=_checked("hostname", parse_hostname, request.hostname),
            domain_name=_checked("domain_name", parse_hostname, request.domain_name),
        )
    if request.dns or request.dns_search or request.dns_options or request.extra_hosts:
        from sandbox.grammar import hosts

        config = config._replace(
            dns=each_at_field("dns", hosts.parse_address, request.dns),
            dns_search=each_at_field("dns_search", hosts.parse_dns_search, request.dns_search),
            dns_options=each_at_field("dns_options", hosts.parse_dns_option, request.dns_options),
            extra_hosts=each_at_field("extra_hosts", hosts.parse_extra_host, request.extra_hosts),
        )
    if request.net_rate or request.net_delay or request.net_loss:
        from sandbox.grammar.shaping import check_delay, check_loss, check_rate

        config = config._replace(
            net_rate=_checked("net_rate", check_rate, request.net_rate),
            net_delay=_checked("net_delay", check_delay, request.net_delay),
            net_loss=_checked("net_loss", check_loss, request.net_loss),
        )
    if request.egress:
        from sandbox.container.request.bridged import restricted

        with at_field("egress"):
            config = restricted(config, request.egress)
    if request.host_ports:
        from sandbox.container.request.bridged import with_host_ports

        with at_field("host_ports"):
            config = with_host_ports(config, request.host_ports)
    if request.port_driver:
        from sandbox.container.request.bridged import with_port_driver

        with at_field("port_driver"):
            config = with_port_driver(config, request.port_driver)
    return _add_ports(request, defaults, config)


def _add_ports(request: ContainerRequest, defaults: ImageDefaults, config: ContainerConfig) -> ContainerConfig:
    published = request.published_ports
    if published:
        from sandbox.grammar.ports import check_ports

        with at_field("published_ports"):
            check_ports(published)
    if request.exposed_ports:
        from sandbox.grammar.ports import parse_exposed

        each_at_field("exposed_ports", parse_exposed, request.exposed_ports)
    texts = (f"{port.container_port}/{port.protocol}" for port in published)
    # each once, in the order met
    exposed = tuple(dict.fromkeys((*defaults.exposed_ports, *request.exposed_ports, *texts)))
    return config._replace(exposed_ports=exposed, published_ports=published, publish_all=bool(request.publish_all))


def _without_lost_ports(config: ContainerConfig) -> Merged:
    publishes = config.published_ports or config.publish_all
    if not publishes or config.network not in ("host", "none"):
        return Merged(config)
    why = "when using host network mode" if config.network == "host" else "without a network"
    return Merged(config._replace(published_ports=(), publish_all=False), (f"Published ports are discarded {why}",))


def _add_isolation(request: ContainerRequest, config: ContainerConfig) -> ContainerConfig:
    """Capabilities, security options, devices, and the namespaces that are shared."""
    if request.cap_add or request.cap_drop:
        from sandbox.grammar.capability_names import check_capability, normalize_capabilities

        each_at_field("cap_add", check_capability, request.cap_add)
        each_at_field("cap_drop", check_capability, request.cap_drop)
        added, dropped = normalize_capabilities(request.cap_add, request.cap_drop)
        config = config._replace(cap_add=added, cap_drop=dropped)
    if request.security_options:
        from sandbox.grammar.security import parse_security_option

        parsed = each_at_field("security_options", parse_security_option, request.security_options)
        config = config._replace(security_options=tuple(option for option in parsed if option))
    if request.devices:
        from sandbox.grammar.devices import check_device

        with at_field("devices"):
            config = config._replace(devices=tuple(map(check_device, request.devices)))
    for field, allowed in _MODES.items():
        _check_mode(field, getattr(request, field), allowed)
    # ours are private and can be joined by another container: both words say what is so
    ipc = "" if request.ipc_mode in ("private", "shareable") else request.ipc_mode
    return config._replace(
        pid_mode=request.pid_mode or "",
        ipc_mode=ipc or "",
        uts_mode=request.uts_mode or "",
        privileged=bool(request.privileged),
        read_only=bool(request.read_only),
    )


def _check_mode(field: str, mode: str | None, allowed: tuple[str, ...]) -> None:
    joins = mode and field != "uts_mode" and mode.startswith("container:") and mode != "container:"
    if mode and mode not in allowed and not joins:
        kind = field.removesuffix("_mode").upper()
        raise UsageError(f"invalid {kind} mode", cause=f"{mode!r} was given", field=field)


def _checked(field: str, parse: Callable[[str], str], text: str | None) -> str:
    with at_field(field):
        return parse(text) if text else ""
