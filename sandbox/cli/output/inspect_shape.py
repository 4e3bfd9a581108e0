"""Which fields the documents of `inspect` may have, and what their nulls are, as Docker's types say it."""

from __future__ import annotations

from sandbox.cli.output.inspect_maps import MAPS
from sandbox.go_template import Shape
from sandbox.go_template.kinds import NULL_LIST, NULL_MAP, NULL_POINTER, Kinds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

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
_FIELDS: dict[str, dict[str, object]] = {
    "Mounts": dict.fromkeys(("Type", "Name", "Source", "Destination", "Driver", "Mode", "RW", "Propagation"), ""),
    "State": dict.fromkeys(("Status", "Running", "Paused", "Restarting", "OOMKilled", "Dead", "Pid", "ExitCode",
                            "Error", "StartedAt", "FinishedAt", "Health"), NULL_POINTER),
}  # fmt: skip
_KINDS = Kinds(MAPS, _POINTERS, _FIELDS)
SHAPE = Shape(MAPS, _LEFT_OUT)


def typed(document: dict[str, Any]) -> dict[str, Any]:
    """The document as a template sees it."""
    found: dict[str, Any] = _KINDS.typed(document)
    return found
