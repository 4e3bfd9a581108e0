"""Which fields the documents of `inspect` may have, and what their nulls are, as Docker's types say it."""

from __future__ import annotations

from sandbox.cli.output.go_template import NULL_LIST, NULL_MAP, NULL_POINTER, Kinds, Shape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: mappings with keys of anybody's
_MAPS = frozenset((
    "Config.Labels", "Config.Volumes", "Config.ExposedPorts", "GraphDriver.Data", "NetworkSettings.Ports",
    "NetworkSettings.Networks", "NetworkSettings.Networks.*.DriverOpts", "HostConfig.PortBindings", "HostConfig.Tmpfs",
    "HostConfig.Sysctls", "HostConfig.StorageOpt", "HostConfig.LogConfig.Config", "HostConfig.Annotations",
    "HostConfig.Mounts.VolumeOptions.Labels", "HostConfig.Mounts.VolumeOptions.DriverConfig.Options",
    "Labels", "Options", "Status", "Containers", "IPAM.Options",
))  # fmt: skip
_POINTERS = frozenset((
    "State.Health", "SizeRw", "SizeRootFs", "Config.Healthcheck", "Config.StopTimeout", "HostConfig.Init",
    "HostConfig.PidsLimit", "HostConfig.MemorySwappiness", "HostConfig.OomKillDisable",
    "NetworkSettings.Networks.*.IPAMConfig", "ClusterVolume", "UsageData",
))  # fmt: skip
#: what Docker leaves out where there is nothing to tell, and what a template finds there
_LEFT_OUT: dict[str, object] = {
    **dict.fromkeys(
        ("State.Health", "SizeRw", "SizeRootFs", "Config.Healthcheck", "Config.StopTimeout", "HostConfig.Init",
         "ClusterVolume", "UsageData"), NULL_POINTER),
    **dict.fromkeys(("Config.ExposedPorts", "HostConfig.Annotations", "HostConfig.Tmpfs", "HostConfig.Sysctls",
                     "HostConfig.StorageOpt", "Status"), NULL_MAP),
    **dict.fromkeys(("Config.Shell", "Config.Healthcheck.Test", "HostConfig.Mounts", "Warnings"), NULL_LIST),
    **dict.fromkeys(("Mounts.Name", "Mounts.Driver", "Variant", "OsVersion", "Config.StopSignal", "Config.MacAddress"),
                    ""),
    **dict.fromkeys(("Config.ArgsEscaped", "Config.NetworkDisabled"), False),
    **dict.fromkeys((f"Config.Healthcheck.{name}"
                     for name in ("Interval", "Timeout", "StartPeriod", "StartInterval", "Retries")), 0),
}  # fmt: skip
_MOUNT_FIELDS = ("Type", "Name", "Source", "Destination", "Driver", "Mode", "RW", "Propagation")
_KINDS = Kinds(_MAPS, _POINTERS, {"Mounts": _MOUNT_FIELDS})
SHAPE = Shape(_MAPS, _LEFT_OUT)


def typed(document: dict[str, Any]) -> dict[str, Any]:
    """The document as a template sees it."""
    found: dict[str, Any] = _KINDS.typed(document)
    return found
