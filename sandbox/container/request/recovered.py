"""A request made up of a configuration, for a record that was kept without one."""

from __future__ import annotations

from sandbox.container.request.request import ContainerRequest
from sandbox.values import EndpointRequest, MountRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerConfig
    from sandbox.values import MountPoint

#: what `--cpus` gives at least
_LEAST_NANO_CPUS = 10_000_000
_PERIOD_US = 1_000_000


def recovered_request(config: ContainerConfig) -> ContainerRequest:
    """A request that gives `config` again, of an image with the same defaults."""
    request = ContainerRequest(
        config.image,
        command=config.command,
        entrypoint=config.entrypoint,
        environment=config.environment,
        working_directory=config.working_directory,
        user=config.user or None,
        group_add=config.group_add,
        hostname=config.hostname or None,
        domain_name=config.domain_name or None,
        labels=config.labels,
        secrets=config.secrets,
        configs=config.configs,
        terminal=config.terminal or None,
        open_stdin=config.open_stdin or None,
        stdin_once=config.stdin_once or None,
        attached=("stdin",) if config.stdin_once else (),
        init=config.init or None,
        stop_signal=config.stop_signal or None,
        stop_timeout_seconds=config.stop_timeout_seconds,
        health=config.health,
        restart=config.restart,
        auto_remove=config.auto_remove or None,
        log=config.log,
    )
    request = _with_isolation(_with_network(request, config), config)
    return _with_limits(_with_mounts(request, config), config)


def _with_isolation(request: ContainerRequest, config: ContainerConfig) -> ContainerRequest:
    return request._replace(
        cap_add=config.cap_add,
        cap_drop=config.cap_drop,
        privileged=config.privileged or None,
        security_options=config.security_options,
        devices=config.devices,
        pid_mode=config.pid_mode or None,
        ipc_mode=config.ipc_mode or None,
        uts_mode=config.uts_mode or None,
    )


def _with_network(request: ContainerRequest, config: ContainerConfig) -> ContainerRequest:
    shared = config.network.startswith("container:")
    plain = None if config.network == "default" else config.network
    named = (EndpointRequest(config.network, config.network_aliases),) if config.network_aliases else ()
    endpoints = config.endpoints or named
    return request._replace(
        network_mode=None if endpoints else plain,
        endpoints=endpoints,
        dns=config.dns,
        dns_search=config.dns_search,
        dns_options=config.dns_options,
        extra_hosts=config.extra_hosts,
        net_rate=config.net_rate or None,
        net_delay=config.net_delay or None,
        net_loss=config.net_loss or None,
        egress=config.egress,
        host_ports=config.host_ports,
        port_driver=config.port_driver or None,
        # with another's network only the image can have exposed any
        exposed_ports=() if shared else config.exposed_ports,
        published_ports=config.published_ports,
        publish_all=config.publish_all or None,
    )


def _with_limits(request: ContainerRequest, config: ContainerConfig) -> ContainerRequest:
    resources = config.resources
    # a smaller share than `--cpus` may give was asked for as a quota
    is_quota = 0 < resources.nano_cpus < _LEAST_NANO_CPUS
    return request._replace(
        sysctls=config.sysctls,
        rlimits=config.rlimits,
        shm_size_bytes=config.shm_size_bytes,
        oom_score_adjust=config.oom_score_adjust or None,
        memory_bytes=resources.memory_bytes or None,
        memory_swap_bytes=resources.memory_swap_bytes or None,
        memory_reservation_bytes=resources.memory_reservation_bytes or None,
        nano_cpus=None if is_quota else resources.nano_cpus or None,
        cpu_period_us=_PERIOD_US if is_quota else None,
        cpu_quota_us=resources.nano_cpus * _PERIOD_US // 10**9 if is_quota else None,
        cpu_shares=resources.cpu_shares or None,
        cpuset_cpus=resources.cpuset_cpus or None,
        pids_limit=resources.pids_limit or None,
        best_effort=resources.best_effort or None,
    )


def _with_mounts(request: ContainerRequest, config: ContainerConfig) -> ContainerRequest:
    binds: list[str] = []
    asked: list[MountRequest] = []
    tmpfs: list[tuple[str, str]] = []
    for mount in config.mounts:
        if mount.kind == "tmpfs":
            tmpfs.append((mount.target, _tmpfs_options(mount)))
        elif _is_bind_text(mount):
            binds.append(_bind_text(mount))
        else:
            asked.append(_mount_request(mount))
    return request._replace(
        binds=tuple(binds),
        mounts=tuple(asked),
        tmpfs=tuple(tmpfs),
        read_only=config.read_only or None,
        storage_options=(("size", str(config.storage_size_bytes)),) if config.storage_size_bytes else (),
        storage_driver=config.storage_driver or None,
        trace_path=config.trace_path or None,
    )


def _is_bind_text(mount: MountPoint) -> bool:
    """Whether `-v` can say it: else it was said by `--mount`."""
    if mount.kind == "volume":
        return not mount.volume_labels and not (mount.anonymous and (mount.read_only or not mount.copy_up))
    return mount.create_source and mount.recursive and mount.mapped_user in ("", "user")


def _bind_text(mount: MountPoint) -> str:
    words = [
        word
        for word, given in (
            ("ro", mount.read_only),
            ("idmap", mount.mapped_user),
            ("nocopy", not mount.copy_up),
            (mount.propagation, mount.kind == "bind" and mount.propagation != "rprivate"),
        )
        if given
    ]
    if mount.anonymous:
        return mount.target
    return ":".join([mount.source, mount.target, *([",".join(words)] if words else [])])


def _mount_request(mount: MountPoint) -> MountRequest:
    return MountRequest(
        mount.kind,
        "" if mount.anonymous else mount.source,
        mount.target,
        mount.read_only,
        mount.propagation if mount.propagation != "rprivate" else "",
        "" if mount.recursive else "disabled",
        mount.create_source,
        mount.mapped_user,
        not mount.copy_up,
        mount.volume_labels,
    )


def _tmpfs_options(mount: MountPoint) -> str:
    words = [
        "ro" if mount.read_only else "",
        f"size={mount.tmpfs_size_bytes}" if mount.tmpfs_size_bytes else "",
        f"mode={mount.tmpfs_mode:o}" if mount.tmpfs_mode != 0o1777 else "",
        mount.tmpfs_options if mount.tmpfs_options != "noexec,nosuid,nodev" else "",
    ]
    return ",".join(filter(None, words))
