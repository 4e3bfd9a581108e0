"""The larger options of `run` and `create`: life cycle, health, network, mounts, isolation, limits."""

from __future__ import annotations

from sandbox.cli.container_options.reading import (
    flag_given,
    form_as_mend,
    number_given,
    parse_each,
    parse_one,
    text_given,
)
from sandbox.errors import UsageError
from sandbox.values import HealthCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.cli.command import Invocation
    from sandbox.container.request.request import ContainerRequest
    from sandbox.grammar.networks import SharedOptions
    from sandbox.values import LogConfig, PublishedPort


def add_larger_options(invocation: Invocation, request: ContainerRequest) -> ContainerRequest:
    """`request` with what the options of this module ask for. Raises UsageError."""
    request = _add_lifecycle(invocation, request)
    request = _add_network(invocation, request)
    request = _add_mounts(invocation, request)
    request = _add_isolation(invocation, request)
    return _add_limits(invocation, request)


def _any_given(invocation: Invocation, keys: str) -> bool:
    """Whether one of the options in `keys`, parted by spaces, was given."""
    return any(invocation.given(key) for key in keys.split())


def _add_lifecycle(invocation: Invocation, request: ContainerRequest) -> ContainerRequest:
    if invocation.given("restart"):
        from sandbox.grammar.restart import parse_restart

        request = request._replace(restart=parse_one(invocation, "restart", parse_restart))
    if invocation.given("stop-signal"):
        from sandbox.grammar.signals import parse_signal

        parse_one(invocation, "stop-signal", parse_signal)
        request = request._replace(stop_signal=text_given(invocation, "stop-signal"))
    if invocation.given("annotation"):
        from sandbox.grammar.labels import parse_annotation

        annotations = dict(parse_each(invocation, "annotation", parse_annotation))
        request = request._replace(annotations=tuple(sorted(annotations.items())))
    return request._replace(log=_log(invocation), health=_health(invocation))


def _log(invocation: Invocation) -> LogConfig | None:
    if not _any_given(invocation, "log-driver log-opt"):
        return None
    from sandbox.grammar.logs import parse_log

    with form_as_mend("log-opt"):
        return parse_log(invocation.text("log-driver") or "json-file", invocation.texts("log-opt"))


_HEALTH_OPTIONS = "health-cmd health-interval health-timeout health-retries health-start-period health-start-interval"


def _health(invocation: Invocation) -> HealthCheck | None:
    asked = _any_given(invocation, _HEALTH_OPTIONS)
    if invocation.flag("no-healthcheck"):
        if asked:
            raise UsageError("--no-healthcheck conflicts with --health-* options")
        return HealthCheck(("NONE",))
    if not asked:
        return None
    from sandbox.grammar.health import parse_health_time

    def time_ns(name: str) -> int:
        return parse_one(invocation, f"health-{name}", lambda text: parse_health_time(text, name)) or 0

    retries = invocation.number("health-retries") or 0
    if retries < 0:
        raise UsageError("--health-retries cannot be negative")
    shell_command = invocation.text("health-cmd")
    return HealthCheck(
        ("CMD-SHELL", shell_command) if shell_command else (),
        time_ns("interval"),
        time_ns("timeout"),
        time_ns("start-period"),
        time_ns("start-interval"),
        retries,
    )


def _add_network(invocation: Invocation, request: ContainerRequest) -> ContainerRequest:
    request = _add_endpoints(invocation, request)
    if _any_given(invocation, "dns dns-search dns-option add-host"):
        from sandbox.grammar import hosts

        request = request._replace(
            dns=parse_each(invocation, "dns", hosts.parse_address),
            dns_search=parse_each(invocation, "dns-search", hosts.parse_dns_search),
            dns_options=parse_each(invocation, "dns-option", hosts.parse_dns_option),
            extra_hosts=parse_each(invocation, "add-host", hosts.parse_extra_host),
        )
    if _any_given(invocation, "net-rate net-delay net-loss"):
        from sandbox.grammar.shaping import check_delay, check_loss, check_rate

        request = request._replace(
            net_rate=parse_one(invocation, "net-rate", check_rate),
            net_delay=parse_one(invocation, "net-delay", check_delay),
            net_loss=parse_one(invocation, "net-loss", check_loss),
        )
    if invocation.texts("host-port"):
        from sandbox.grammar.ports import parse_host_port

        request = request._replace(host_ports=parse_each(invocation, "host-port", parse_host_port))
    if invocation.text("port-driver"):
        request = request._replace(port_driver=invocation.text("port-driver"))
    if invocation.texts("egress"):
        request = request._replace(egress=invocation.texts("egress"))
    if _any_given(invocation, "publish expose"):
        from sandbox.grammar.ports import parse_exposed

        exposed = (port for ports in parse_each(invocation, "expose", parse_exposed) for port in ports)
        request = request._replace(exposed_ports=tuple(exposed), published_ports=_published_ports(invocation))
    return request


def _published_ports(invocation: Invocation) -> tuple[PublishedPort, ...]:
    from sandbox.grammar.ports import parse_ports

    with form_as_mend("publish"):
        return parse_ports(invocation.texts("publish"))


def _add_endpoints(invocation: Invocation, request: ContainerRequest) -> ContainerRequest:
    texts = invocation.texts("network")
    has_more = _any_given(invocation, "network-alias link ip ip6 link-local-ip mac-address")
    # what most people type, read without its grammar
    if texts in (("none",), ("host",)) and not has_more:
        return request._replace(network_mode=texts[0])
    if not texts and not has_more:
        return request
    from sandbox.grammar.networks import combine_networks, is_user_defined

    shared = _shared_options(invocation)
    endpoints = combine_networks(texts, shared)
    first = endpoints[0]
    if shared.links and not is_user_defined(first.network):
        # Docker's links of the default network are the container's own; names are found there all the same
        first = first._replace(links=shared.links)
        endpoints = (first, *endpoints[1:])
    if len(endpoints) == 1 and first.is_plain and first.network.startswith("container:"):
        return request._replace(network_mode=first.network)
    return request._replace(endpoints=endpoints)


def _shared_options(invocation: Invocation) -> SharedOptions:
    """What stands beside `--network` and belongs to the first one."""
    from sandbox.grammar.networks import SharedOptions, parse_link

    return SharedOptions(
        invocation.texts("network-alias"),
        tuple(":".join(link) for link in parse_each(invocation, "link", parse_link)),
        invocation.text("ip") or "",
        invocation.text("ip6") or "",
        invocation.texts("link-local-ip"),
        invocation.text("mac-address") or "",
    )


def _add_mounts(invocation: Invocation, request: ContainerRequest) -> ContainerRequest:
    cwd = invocation.context.cwd
    if invocation.given("volume"):
        from sandbox.grammar.volumes import resolve_relative

        request = request._replace(binds=tuple(resolve_relative(text, cwd) for text in invocation.texts("volume")))
    if invocation.flag("use-api-socket"):
        from sandbox.docker_sockets import DOCKER_SOCKETS

        socket = DOCKER_SOCKETS[0]
        request = request._replace(binds=(*request.binds, f"{socket}:{socket}"))
    if _any_given(invocation, "mount tmpfs"):
        from sandbox.grammar import mounts, tmpfs

        asked = parse_each(invocation, "mount", mounts.parse_mount)
        request = request._replace(
            mounts=tuple(mounts.resolve_source(mount, cwd) for mount in asked),
            tmpfs=parse_each(invocation, "tmpfs", tmpfs.parse_tmpfs),
        )
    if invocation.given("secret"):
        from sandbox.grammar.grants import parse_run_secret

        request = request._replace(secrets=parse_each(invocation, "secret", parse_run_secret))
    if trace := invocation.text("trace-files"):
        request = request._replace(trace_path=cwd.absolute(trace))
    return request


def _add_isolation(invocation: Invocation, request: ContainerRequest) -> ContainerRequest:
    if _any_given(invocation, "cap-add cap-drop"):
        from sandbox.grammar.capability_names import normalize_capabilities

        added, dropped = normalize_capabilities(invocation.texts("cap-add"), invocation.texts("cap-drop"))
        request = request._replace(cap_add=added, cap_drop=dropped)
    if invocation.given("security-opt"):
        from sandbox.grammar.security import read_security_option

        cwd = invocation.context.cwd
        request = request._replace(
            security_options=parse_each(invocation, "security-opt", lambda text: read_security_option(text, cwd))
        )
    if invocation.given("device"):
        from sandbox.grammar.devices import parse_device

        request = request._replace(devices=parse_each(invocation, "device", parse_device))
    return request


def _add_limits(invocation: Invocation, request: ContainerRequest) -> ContainerRequest:
    if _any_given(invocation, "ulimit sysctl"):
        from sandbox.grammar.limits import parse_sysctl, parse_ulimit

        request = request._replace(
            rlimits=parse_each(invocation, "ulimit", parse_ulimit),
            sysctls=parse_each(invocation, "sysctl", parse_sysctl),
        )
    if _any_given(invocation, "memory memory-swap memory-reservation cpus shm-size storage-opt"):
        from sandbox.grammar import sizes

        request = request._replace(
            memory_bytes=parse_one(invocation, "memory", sizes.parse_size),
            memory_swap_bytes=parse_one(invocation, "memory-swap", sizes.parse_size_or_unlimited),
            memory_reservation_bytes=parse_one(invocation, "memory-reservation", sizes.parse_size),
            nano_cpus=parse_one(invocation, "cpus", sizes.parse_cpus),
            shm_size_bytes=parse_one(invocation, "shm-size", sizes.parse_size),
            storage_options=parse_each(invocation, "storage-opt", sizes.parse_storage_option),
        )
    if invocation.given("cpuset-cpus"):
        from sandbox.grammar.limits import parse_cpuset

        request = request._replace(cpuset_cpus=parse_one(invocation, "cpuset-cpus", parse_cpuset))
    return request._replace(
        cpu_period_us=number_given(invocation, "cpu-period"),
        cpu_quota_us=number_given(invocation, "cpu-quota"),
        cpu_shares=number_given(invocation, "cpu-shares"),
        pids_limit=number_given(invocation, "pids-limit"),
        best_effort=flag_given(invocation, "best-effort"),
    )
