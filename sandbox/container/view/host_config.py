"""HostConfig of `inspect`: what was asked of the host, given back as it was asked for."""

from __future__ import annotations

from sandbox.runtime.kernel_paths import DEFAULT_READ_ONLY_PATHS, default_masked_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from sandbox.container.model.record import ContainerConfig
    from sandbox.container.request.request import ContainerRequest
    from sandbox.values import Device, MountRequest, PublishedPort

    Document = dict[str, Any]  # Any: JSON


#: Docker's client says this by masking no paths, and its engine never sees the words
_NO_SYSTEM_PATHS = "systempaths=unconfined"
#: there are none: a user has no say over block devices
_BLOCK_LIMITS = (
    "BlkioWeightDevice", "BlkioDeviceReadBps", "BlkioDeviceWriteBps", "BlkioDeviceReadIOps", "BlkioDeviceWriteIOps",
)  # fmt: skip
_OF_WINDOWS = ("CpuCount", "CpuPercent", "IOMaximumIOps", "IOMaximumBandwidth")


def host_config(config: ContainerConfig, request: ContainerRequest) -> Document:
    """The document; what `request` leaves open is as `config` has it."""
    return {**_general(config, request), **_isolation(config, request), **_resources(config, request)}


def _general(config: ContainerConfig, request: ContainerRequest) -> Document:
    document: Document = {
        # a target alone is an anonymous volume, which Config.Volumes has
        "Binds": [text for text in request.binds if ":" in text] or None,
        "ContainerIDFile": request.id_file or "",
        "LogConfig": {"Type": config.log.driver, "Config": dict(config.log.options)},
        "NetworkMode": "bridge" if config.network == "default" else config.network,
        "PortBindings": port_bindings(request.published_ports),
        "RestartPolicy": {"Name": config.restart.name, "MaximumRetryCount": config.restart.maximum_retries},
        "AutoRemove": config.auto_remove,
        "VolumeDriver": request.volume_driver or "",
        "VolumesFrom": list(request.volumes_from) or None,
        "ConsoleSize": [0, 0],
        "Dns": list(config.dns),
        "DnsOptions": list(config.dns_options),
        "DnsSearch": list(config.dns_search),
        "ExtraHosts": list(config.extra_hosts) or None,
        "Links": None,
        "PublishAllPorts": bool(request.publish_all),
        "Runtime": request.runtime or "sandbox",
    }
    # left out where there are none, as by Docker
    rare: Document = {
        "Tmpfs": dict(request.tmpfs),
        "StorageOpt": dict(request.storage_options),
        "Mounts": [_mount(mount) for mount in request.mounts],
        "Annotations": dict(request.annotations),
        # of this program alone
        "NetRate": config.net_rate,
        "NetDelay": config.net_delay,
        "NetLoss": config.net_loss,
        "Egress": list(config.egress),
        "HostPorts": list(config.host_ports),
        "PortDriver": config.port_driver,
    }
    return document | _given(rare)


def _isolation(config: ContainerConfig, request: ContainerRequest) -> Document:
    unmasked = config.privileged or _NO_SYSTEM_PATHS in config.security_options
    # a truth value that was not given is left out by Docker
    init = {} if request.init is None and not config.init else {"Init": config.init}
    return {
        "CapAdd": list(request.cap_add) or None,
        "CapDrop": list(request.cap_drop) or None,
        "CgroupnsMode": "private",
        "GroupAdd": list(config.group_add) or None,
        "IpcMode": request.ipc_mode or "private",
        "Cgroup": "",
        "OomScoreAdj": config.oom_score_adjust,
        "PidMode": config.pid_mode,
        "Privileged": config.privileged,
        "ReadonlyRootfs": config.read_only,
        "SecurityOpt": [text for text in request.security_options if text != _NO_SYSTEM_PATHS] or None,
        "UTSMode": config.uts_mode,
        "UsernsMode": "",
        "ShmSize": config.shm_size_bytes,
        **({"Sysctls": dict(config.sysctls)} if config.sysctls else {}),
        "Isolation": request.isolation or "",
        "Devices": [_device(device) for device in config.devices],
        "DeviceCgroupRules": None,
        "DeviceRequests": None,
        **init,
        "MaskedPaths": [] if unmasked else list(default_masked_paths()),
        "ReadonlyPaths": [] if unmasked else list(DEFAULT_READ_ONLY_PATHS),
    }


def _resources(config: ContainerConfig, request: ContainerRequest) -> Document:
    return {
        "CpuShares": request.cpu_shares or 0,
        "Memory": request.memory_bytes or 0,
        "NanoCpus": request.nano_cpus or 0,
        "CgroupParent": "",
        "BlkioWeight": 0,
        **{name: [] for name in _BLOCK_LIMITS},
        "CpuPeriod": request.cpu_period_us or 0,
        "CpuQuota": request.cpu_quota_us or 0,
        "CpuRealtimePeriod": 0,
        "CpuRealtimeRuntime": 0,
        "CpusetCpus": request.cpuset_cpus or "",
        "CpusetMems": "",
        "MemoryReservation": request.memory_reservation_bytes or 0,
        # as dockerd fills it in: as much swap as memory
        "MemorySwap": request.memory_swap_bytes or 2 * (request.memory_bytes or 0),
        "MemorySwappiness": None,
        "OomKillDisable": None,
        "PidsLimit": request.pids_limit,
        "Ulimits": [{"Name": limit.name, "Hard": limit.hard, "Soft": limit.soft} for limit in config.rlimits],
        **dict.fromkeys(_OF_WINDOWS, 0),
    }


def port_bindings(ports: Iterable[PublishedPort]) -> dict[str, list[Document]]:
    """Docker's PortMap: the host's side of each container port."""
    found: dict[str, list[Document]] = {}
    for port in ports:
        host_port = str(port.host_port) if port.host_port else ""
        if port.host_port_end:
            host_port += f"-{port.host_port_end}"
        binding = {"HostIp": port.host_ip, "HostPort": host_port}
        found.setdefault(f"{port.container_port}/{port.protocol}", []).append(binding)
    return found


def _device(device: Device) -> Document:
    return {
        "PathOnHost": device.host_path,
        "PathInContainer": device.container_path,
        "CgroupPermissions": device.permissions,
    }


def _mount(mount: MountRequest) -> Document:
    """Docker's Mount, without the fields that were not given."""
    driver = {"Name": mount.driver, "Options": dict(mount.driver_options)}
    options: dict[str, Document] = {
        "BindOptions": {
            "Propagation": mount.propagation,
            "NonRecursive": mount.recursion == "disabled",
            "ReadOnlyNonRecursive": mount.recursion == "writable",
            "ReadOnlyForceRecursive": mount.recursion == "readonly",
            "CreateMountpoint": mount.create_source,
            "IdMap": mount.mapped_user,
        },
        "VolumeOptions": {
            "NoCopy": mount.no_copy,
            "Labels": dict(mount.labels),
            "DriverConfig": _given(driver),
            "Subpath": mount.subpath,
        },
        "TmpfsOptions": {"SizeBytes": mount.tmpfs_size_bytes, "Mode": mount.tmpfs_mode},
    }
    head: Document = {"Type": mount.kind, "Source": mount.source, "Target": mount.target, "ReadOnly": mount.read_only}
    return _given(head | {name: _given(part) for name, part in options.items()})


def _given(document: Document) -> Document:
    return {name: value for name, value in document.items() if value}
