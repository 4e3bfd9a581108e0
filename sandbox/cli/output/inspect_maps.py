"""Where documents of `inspect` have mappings with keys of anybody's; every other one is a structure of Docker's."""

from __future__ import annotations

#: dotted names, `*` for any key; containers, images, volumes and networks together
MAPS = frozenset((
    "Config.Labels", "Config.Volumes", "Config.ExposedPorts", "GraphDriver.Data", "NetworkSettings.Ports",
    "NetworkSettings.Networks", "NetworkSettings.Networks.*.DriverOpts", "HostConfig.PortBindings", "HostConfig.Tmpfs",
    "HostConfig.Sysctls", "HostConfig.StorageOpt", "HostConfig.LogConfig.Config", "HostConfig.Annotations",
    "HostConfig.Mounts.VolumeOptions.Labels", "HostConfig.Mounts.VolumeOptions.DriverConfig.Options",
    "Labels", "Options", "Status", "Containers", "IPAM.Options",
))  # fmt: skip
