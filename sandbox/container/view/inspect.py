"""`inspect`: a container as Docker's JSON, field for field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from net.addresses import CONTAINER_ADDRESS, GATEWAY_ADDRESS
from sandbox.container.monitor.log_files import LOG_NAME
from sandbox.container.monitor.runtime_spec import hostname_of, uses_private_network
from sandbox.grammar.health import health_document
from sandbox.humane import rfc3339
from sandbox.runtime.rootfs_plan import DEFAULT_READ_ONLY_PATHS, default_masked_paths
from sandbox.volume.volumes import volume_data

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.container.model.record import Container, ContainerConfig
    from sandbox.paths import Paths
    from sandbox.values import MountPoint, PublishedPort

Document = dict[str, Any]  # Any: JSON


def inspect_container(paths: Paths, container: Container, *, with_size: bool = False) -> Document:
    """What `docker inspect` would print of the container; sizes are measured only when asked for."""
    config, data = container.config, paths.container_data(container.id)
    words = (*config.entrypoint, *config.command)
    has_log = config.log.driver != "none"
    document: Document = {
        "Id": container.id,
        "Created": rfc3339(container.created_ns),
        "Path": words[0] if words else "",
        "Args": list(words[1:]),
        "State": _state(container),
        "Image": config.image_id,
        "ResolvConfPath": f"{data}/resolv.conf",
        "HostnamePath": f"{data}/hostname",
        "HostsPath": f"{data}/hosts",
        "LogPath": f"{data}/{LOG_NAME}" if has_log else "",
        "Name": f"/{container.name}",
        "RestartCount": container.state.restart_count,
        "Driver": config.storage_driver,
        "Platform": config.platform.partition("/")[0],
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": None,
        "HostConfig": _host_config(config),
        "GraphDriver": {"Data": {"UpperDir": f"{data}/overlay"}, "Name": config.storage_driver},
        "Mounts": [_mount(paths, mount) for mount in config.mounts if mount.kind != "tmpfs"],
        "Config": _config(container),
        "NetworkSettings": _network_settings(container),
    }
    if with_size:
        from sandbox.container.view.sizes import container_sizes

        sizes = container_sizes(paths, container)
        document |= {"SizeRw": sizes.written_bytes, "SizeRootFs": sizes.total_bytes}
    return document


def _state(container: Container) -> Document:
    state = container.state
    document: Document = {
        "Status": state.status,
        "Running": state.status in ("running", "paused", "restarting"),
        "Paused": state.status == "paused",
        "Restarting": state.status == "restarting",
        "OOMKilled": state.oom_killed,
        "Dead": state.status == "dead",
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": rfc3339(state.started_ns),
        "FinishedAt": rfc3339(state.finished_ns),
    }
    if state.health:
        document["Health"] = {"Status": state.health, "FailingStreak": 0, "Log": []}
    return document


def _config(container: Container) -> Document:
    config = container.config
    document: Document = {
        "Hostname": hostname_of(container),
        "Domainname": config.domain_name,
        "User": config.user,
        "AttachStdin": config.stdin_once,
        "AttachStdout": False,
        "AttachStderr": False,
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Tty": config.terminal,
        "OpenStdin": config.open_stdin,
        "StdinOnce": config.stdin_once,
        "Env": list(config.environment),
        "Cmd": list(config.command) or None,
        "Image": config.image,
        "Volumes": {mount.target: {} for mount in config.mounts if mount.kind == "volume"} or None,
        "WorkingDir": config.working_directory,
        "Entrypoint": list(config.entrypoint) or None,
        "OnBuild": None,
        "Labels": dict(config.labels),
    }
    if config.stop_signal:
        document["StopSignal"] = config.stop_signal
    if config.stop_timeout_seconds is not None:
        document["StopTimeout"] = config.stop_timeout_seconds
    if config.health.test:
        document["Healthcheck"] = health_document(config.health)
    return document


def _host_config(config: ContainerConfig) -> Document:
    resources = config.resources
    unmasked = config.privileged or "systempaths=unconfined" in config.security_options
    return {
        "Binds": [_bind_text(mount) for mount in config.mounts if mount.kind == "bind"] or None,
        "ContainerIDFile": "",
        "LogConfig": {"Type": config.log.driver, "Config": dict(config.log.options)},
        "NetworkMode": "bridge" if config.network == "default" else config.network,
        "PortBindings": _bindings(config.published_ports),
        "RestartPolicy": {"Name": config.restart.name, "MaximumRetryCount": config.restart.maximum_retries},
        "AutoRemove": config.auto_remove,
        "VolumeDriver": "",
        "VolumesFrom": None,
        "ConsoleSize": [0, 0],
        "CapAdd": list(config.cap_add) or None,
        "CapDrop": list(config.cap_drop) or None,
        "CgroupnsMode": "private",
        "Dns": list(config.dns),
        "DnsOptions": list(config.dns_options),
        "DnsSearch": list(config.dns_search),
        "ExtraHosts": list(config.extra_hosts) or None,
        "GroupAdd": list(config.group_add) or None,
        "IpcMode": config.ipc_mode or "private",
        "Cgroup": "",
        "Links": None,
        "OomScoreAdj": config.oom_score_adjust,
        "PidMode": config.pid_mode,
        "Privileged": config.privileged,
        "PublishAllPorts": config.publish_all,
        "ReadonlyRootfs": config.read_only,
        "SecurityOpt": list(config.security_options) or None,
        "Tmpfs": {mount.target: mount.tmpfs_options for mount in config.mounts if mount.kind == "tmpfs"},
        "UTSMode": config.uts_mode,
        "UsernsMode": "",
        "StorageOpt": {"size": str(config.storage_size_bytes)} if config.storage_size_bytes else None,
        "ShmSize": config.shm_size_bytes,
        "Sysctls": dict(config.sysctls),
        "Runtime": "sandbox",
        "Isolation": "",
        "CpuShares": resources.cpu_shares,
        "Memory": resources.memory_bytes,
        "NanoCpus": resources.nano_cpus,
        "CpusetCpus": resources.cpuset_cpus,
        "Devices": [
            {
                "PathOnHost": device.host_path,
                "PathInContainer": device.container_path,
                "CgroupPermissions": device.permissions,
            }
            for device in config.devices
        ],
        "MemoryReservation": resources.memory_reservation_bytes,
        "MemorySwap": resources.memory_swap_bytes,
        "PidsLimit": resources.pids_limit or None,
        "Ulimits": [{"Name": limit.name, "Soft": limit.soft, "Hard": limit.hard} for limit in config.rlimits],
        "Init": config.init,
        "MaskedPaths": [] if unmasked else list(default_masked_paths()),
        "ReadonlyPaths": [] if unmasked else list(DEFAULT_READ_ONLY_PATHS),
    }


def _mode_words(mount: MountPoint) -> list[str]:
    return [word for word, given in (("ro", mount.read_only), ("idmap", mount.mapped_user)) if given]


def _bind_text(mount: MountPoint) -> str:
    words = [*_mode_words(mount), *([mount.propagation] if mount.propagation else [])]
    return ":".join([mount.source, mount.target, *([",".join(words)] if words != ["rprivate"] else [])])


def _mount(paths: Paths, mount: MountPoint) -> Document:
    document: Document = {"Type": mount.kind}
    if mount.kind == "volume":
        document |= {"Name": mount.source, "Source": volume_data(paths, mount.source)}
    else:
        document["Source"] = mount.source
    document["Destination"] = mount.target
    if mount.kind == "volume":
        document["Driver"] = "local"
    propagation = mount.propagation if mount.kind == "bind" else ""
    return document | {
        "Mode": ",".join(_mode_words(mount)),
        "RW": not mount.read_only,
        "Propagation": propagation,
    }


def _bindings(ports: Iterable[PublishedPort]) -> dict[str, list[Document]]:
    found: dict[str, list[Document]] = {}
    for port in ports:
        host_port = str(port.host_port) if port.host_port else ""
        binding = {"HostIp": port.host_ip, "HostPort": host_port}
        found.setdefault(f"{port.container_port}/{port.protocol}", []).append(binding)
    return found


def _network_settings(container: Container) -> Document:
    config, running = container.config, container.state.status == "running"
    private = uses_private_network(config)
    ports: Document = {}
    if running and private:
        ports = dict.fromkeys(config.exposed_ports) | _bindings(container.state.published_ports)
    up = running and private
    address, gateway = (CONTAINER_ADDRESS, GATEWAY_ADDRESS) if up else ("", "")
    addresses: Document = {
        "EndpointID": "",
        "Gateway": gateway,
        "IPAddress": address,
        "IPPrefixLen": 24 if up else 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
    }
    endpoint: Document = {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": list(config.network_aliases) or None,
        "MacAddress": "",
        "NetworkID": "",
        **addresses,
        "DNSNames": None,
    }
    shared = config.network.startswith("container:")
    name = "bridge" if config.network == "default" else config.network
    return {
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": "",
        "Ports": ports,
        **addresses,
        "MacAddress": "",
        "Networks": {} if shared else {name: endpoint},
    }
