"""The larger steps of `build_config`: network, mounts, isolation, limits, health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.cli.container_options.reading import form_as_mend, parse_each, parse_one
from sandbox.errors import UsageError
from sandbox.values import HealthCheck, MountPoint, Resources

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.cli.command import Invocation
    from sandbox.container.model.record import ContainerConfig
    from sandbox.container.request.image_defaults import ImageDefaults


#: what most people type, read without its grammar
_PLAIN_NETWORKS: dict[tuple[str, ...], str] = {("none",): "none", ("host",): "host"}


def any_given(invocation: Invocation, keys: str) -> bool:
    """Whether one of the options in `keys`, parted by spaces, was given."""
    return any(invocation.given(key) for key in keys.split())


def add_network(invocation: Invocation, defaults: ImageDefaults, config: ContainerConfig) -> ContainerConfig:
    """Network mode, aliases, names and ports."""
    plain = _PLAIN_NETWORKS.get(invocation.texts("network"))
    if plain and not invocation.given("network-alias"):
        config = config._replace(network=plain)
    elif invocation.given("network") or invocation.given("network-alias"):
        from sandbox.grammar.networks import SharedOptions, combine_networks, usable_network

        aliases = invocation.texts("network-alias")
        endpoints = combine_networks(invocation.texts("network"), SharedOptions(aliases))
        config = config._replace(network=usable_network(endpoints), network_aliases=endpoints[0].aliases)
    if any_given(invocation, "dns dns-search dns-option add-host"):
        from sandbox.grammar import hosts

        config = config._replace(
            dns=parse_each(invocation, "dns", hosts.parse_address),
            dns_search=parse_each(invocation, "dns-search", hosts.parse_dns_search),
            dns_options=parse_each(invocation, "dns-option", hosts.parse_dns_option),
            extra_hosts=parse_each(invocation, "add-host", hosts.parse_extra_host),
        )
    return _check_network(invocation, _add_ports(invocation, defaults, config))


def _add_ports(invocation: Invocation, defaults: ImageDefaults, config: ContainerConfig) -> ContainerConfig:
    exposed = list(defaults.exposed_ports)
    if invocation.given("publish") or invocation.given("expose"):
        from sandbox.grammar.ports import parse_exposed, parse_ports

        for ports in parse_each(invocation, "expose", parse_exposed):
            exposed.extend(ports)
        with form_as_mend("publish"):
            published = parse_ports(invocation.texts("publish"))
        exposed.extend(f"{port.container_port}/{port.protocol}" for port in published)
        config = config._replace(published_ports=published)
    # each once, in the order met
    return config._replace(exposed_ports=tuple(dict.fromkeys(exposed)), publish_all=invocation.flag("publish-all"))


def _check_network(invocation: Invocation, config: ContainerConfig) -> ContainerConfig:
    publishes = bool(config.published_ports) or config.publish_all
    if config.network.startswith("container:"):
        for given, what in (
            (config.hostname, "hostname and the network mode"),
            (config.dns, "dns and the network mode"),
            (config.extra_hosts, "custom host-to-IP mapping and the network mode"),
            (publishes, "port publishing and the container type network mode"),
            (invocation.given("expose"), "port exposing and the container type network mode"),
        ):
            if given:
                raise UsageError(f"conflicting options: {what}")
    if publishes and config.network in ("host", "none"):
        why = "when using host network mode" if config.network == "host" else "without a network"
        invocation.context.note(f"WARNING: Published ports are discarded {why}")
        return config._replace(published_ports=(), publish_all=False)
    return config


def add_mounts(
    invocation: Invocation,
    defaults: ImageDefaults,
    config: ContainerConfig,
    mounts_of: Callable[[str], tuple[MountPoint, ...]] | None,
) -> ContainerConfig:
    """`-v`, `--mount`, `--tmpfs`, `--volumes-from`; then anonymous volumes for those of the image."""
    cwd = invocation.context.cwd
    mounts: list[MountPoint] = []
    if invocation.given("volumes-from"):
        mounts.extend(_inherited(invocation, mounts_of))
    own: list[MountPoint] = []
    if invocation.given("volume"):
        from sandbox.grammar import volumes

        texts = [volumes.resolve_relative(text, cwd) for text in invocation.texts("volume")]
        with form_as_mend("volume"):
            own.extend(volumes.mount_of(volumes.parse_volume(text)) for text in texts)
    if invocation.given("mount") or invocation.given("tmpfs"):
        from sandbox.grammar import mounts as mount_texts

        requests = parse_each(invocation, "mount", mount_texts.parse_mount)
        with form_as_mend("mount"):
            own.extend(mount_texts.mount_of(request, cwd) for request in requests)
        own.extend(parse_each(invocation, "tmpfs", mount_texts.parse_tmpfs))
    targets: set[str] = set()
    for mount in own:
        if mount.target in targets:
            raise UsageError(f"Duplicate mount point: {mount.target}")
        targets.add(mount.target)
    mounts = [mount for mount in mounts if mount.target not in targets] + own
    targets.update(mount.target for mount in mounts)
    if defaults.volumes:
        mounts.extend(_image_volumes(defaults, config, targets))
    return config._replace(mounts=tuple(mounts))


def _image_volumes(defaults: ImageDefaults, config: ContainerConfig, targets: set[str]) -> list[MountPoint]:
    from sandbox.errors import ImageError
    from sandbox.grammar.volumes import check_target, clean_path

    found = []
    for text in defaults.volumes:
        try:
            check_target(text, text)
        except UsageError as error:
            raise ImageError(f"image {config.image} declares a volume that cannot be: {error.message}") from error
        target = clean_path(text)
        if target not in targets:
            targets.add(target)
            found.append(MountPoint("volume", "", target, anonymous=True))
    return found


def _inherited(invocation: Invocation, mounts_of: Callable[[str], tuple[MountPoint, ...]] | None) -> list[MountPoint]:
    if mounts_of is None:
        raise UsageError("--volumes-from is not supported", mend="name the volumes with -v")
    found: dict[str, MountPoint] = {}
    for text in invocation.texts("volumes-from"):
        name, _, mode = text.partition(":")
        if not name or mode not in ("", "ro", "rw", "z", "Z"):
            raise UsageError(f"invalid argument {text!r} for --volumes-from", mend="--volumes-from CONTAINER[:ro]")
        for mount in mounts_of(name):
            # the volume belongs to the other container as well: it must not go with this one
            found[mount.target] = mount._replace(read_only=mount.read_only or mode == "ro")
    return list(found.values())


def add_isolation(invocation: Invocation, config: ContainerConfig) -> ContainerConfig:
    """Capabilities, security options, devices and the namespaces that are shared."""
    if invocation.given("cap-add") or invocation.given("cap-drop"):
        from sandbox.grammar.capability_names import normalize_capabilities

        added, dropped = normalize_capabilities(invocation.texts("cap-add"), invocation.texts("cap-drop"))
        config = config._replace(cap_add=added, cap_drop=dropped)
    if invocation.given("security-opt"):
        from sandbox.grammar.security import parse_security_option

        cwd = invocation.context.cwd
        parsed = parse_each(invocation, "security-opt", lambda text: parse_security_option(text, cwd))
        config = config._replace(security_options=tuple(option for option in parsed if option))
    if invocation.given("device"):
        from sandbox.grammar.devices import parse_device

        config = config._replace(devices=parse_each(invocation, "device", parse_device))
    if any_given(invocation, "pid ipc uts"):
        config = _add_namespaces(invocation, config)
    if config.hostname and config.uts_mode == "host":
        raise UsageError("conflicting options: hostname and the UTS mode")
    return config._replace(privileged=invocation.flag("privileged"), read_only=invocation.flag("read-only"))


def _add_namespaces(invocation: Invocation, config: ContainerConfig) -> ContainerConfig:
    modes: dict[str, str] = {}
    for key, allowed in (("pid", ("host",)), ("ipc", ("host", "private", "none", "shareable")), ("uts", ("host",))):
        mode = invocation.text(key) or ""
        joins = key != "uts" and mode.startswith("container:") and mode != "container:"
        if mode and mode not in allowed and not joins:
            with form_as_mend(key):
                raise UsageError(f"--{key}: invalid {key.upper()} mode", cause=f"{mode!r} was given")
        modes[key] = mode
    # ours are private and can be joined by another container: both words say what is so
    ipc = "" if modes["ipc"] in ("private", "shareable") else modes["ipc"]
    return config._replace(pid_mode=modes["pid"], ipc_mode=ipc, uts_mode=modes["uts"])


def add_limits(invocation: Invocation, config: ContainerConfig) -> ContainerConfig:
    """Resource limits, rlimits and sysctls."""
    if any_given(
        invocation,
        "memory memory-swap memory-reservation cpus cpu-quota cpu-period cpu-shares cpuset-cpus pids-limit best-effort",
    ):
        config = config._replace(resources=_resources(invocation))
    if invocation.given("ulimit") or invocation.given("sysctl"):
        from sandbox.grammar.limits import parse_sysctl, parse_ulimit

        rlimits = {limit.name: limit for limit in parse_each(invocation, "ulimit", parse_ulimit)}
        sysctls = dict(parse_each(invocation, "sysctl", parse_sysctl))
        for name in sysctls:
            if name.startswith("net.") and config.network == "host":
                raise UsageError(f'sysctl "{name}" not allowed in host network namespace')
            if not name.startswith("net.") and config.ipc_mode == "host":
                raise UsageError(f'sysctl "{name}" not allowed in host ipc namespace')
        config = config._replace(rlimits=tuple(rlimits.values()), sysctls=tuple(sysctls.items()))
    if invocation.given("shm-size"):
        from sandbox.grammar.sizes import parse_size

        config = config._replace(shm_size_bytes=parse_one(invocation, "shm-size", parse_size) or config.shm_size_bytes)
    score = invocation.number("oom-score-adj") or 0
    if not -1000 <= score <= 1000:
        with form_as_mend("oom-score-adj"):
            raise UsageError("Invalid value, range for oom score adj is [-1000, 1000]", cause=f"{score} was given")
    return config._replace(oom_score_adjust=score)


def _resources(invocation: Invocation) -> Resources:
    from sandbox.grammar import limits
    from sandbox.grammar.sizes import parse_cpus, parse_size, parse_size_or_unlimited

    with form_as_mend("memory-swap" if invocation.given("memory-swap") else "memory"):
        memory, swap, reservation = limits.memory_limits(
            parse_one(invocation, "memory", parse_size) or 0,
            parse_one(invocation, "memory-swap", parse_size_or_unlimited) or 0,
            parse_one(invocation, "memory-reservation", parse_size) or 0,
        )
    with form_as_mend("cpus"):
        nano_cpus = limits.cpu_limit(
            parse_one(invocation, "cpus", parse_cpus) or 0,
            invocation.number("cpu-quota") or 0,
            invocation.number("cpu-period") or 0,
        )
    return limits.check_resources(
        Resources(
            memory_bytes=memory,
            memory_swap_bytes=swap,
            memory_reservation_bytes=reservation,
            nano_cpus=nano_cpus,
            cpu_shares=invocation.number("cpu-shares") or 0,
            cpuset_cpus=parse_one(invocation, "cpuset-cpus", limits.parse_cpuset) or "",
            # -1 and 0 are both no limit
            pids_limit=max(0, invocation.number("pids-limit") or 0),
            best_effort=invocation.flag("best-effort"),
        )
    )


_HEALTH_OPTIONS = "health-cmd health-interval health-timeout health-retries health-start-period health-start-interval"


def health_check(invocation: Invocation, defaults: ImageDefaults) -> HealthCheck:
    """The health check: none, as given, or the image's, field by field."""
    asked = any_given(invocation, _HEALTH_OPTIONS)
    if invocation.flag("no-healthcheck"):
        if asked:
            raise UsageError("--no-healthcheck conflicts with --health-* options")
        return HealthCheck(("NONE",))
    if not asked:
        return defaults.health
    from sandbox.grammar.health import merge_health, parse_health_time

    def time_ns(name: str) -> int:
        return parse_one(invocation, f"health-{name}", lambda text: parse_health_time(text, name)) or 0

    retries = invocation.number("health-retries") or 0
    if retries < 0:
        raise UsageError("--health-retries cannot be negative")
    shell_command = invocation.text("health-cmd")
    given = HealthCheck(
        ("CMD-SHELL", shell_command) if shell_command else (),
        time_ns("interval"),
        time_ns("timeout"),
        time_ns("start-period"),
        time_ns("start-interval"),
        retries,
    )
    return merge_health(defaults.health, given)
