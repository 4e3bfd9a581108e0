"""Fields of `POST /containers/create` that Docker has and this has not: refused by name where they say something, or
told in a warning where Docker does so on a machine that lacks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.api.documents.reading import text, texts, value_of
from sandbox.api.errors import ApiError
from sandbox.runtime.kernel_paths import DEFAULT_READ_ONLY_PATHS, default_masked_paths

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Document = Mapping[str, Any]

#: fields of HostConfig that ask for what cannot be had here
_REFUSED = {
    "CgroupParent": "cgroups are placed by the user's own service manager",
    "CpuRealtimePeriod": "real-time scheduling needs root",
    "CpuRealtimeRuntime": "real-time scheduling needs root",
    "DeviceCgroupRules": "device rules need root; give the device itself",
    "DeviceRequests": "no GPU runtime hook is there; give the device files",
}
#: those that Docker leaves out with a warning on a machine that cannot do them
_DISCARDED = {
    "BlkioWeight": "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.",
    "BlkioWeightDevice": "Your kernel does not support Block I/O weight_device or the cgroup is not mounted."
    " Weight-device discarded.",
    "BlkioDeviceReadBps": "Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted."
    " Block I/O BPS read limit discarded.",
    "BlkioDeviceWriteBps": "Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted."
    " Block I/O BPS write limit discarded.",
    "BlkioDeviceReadIOps": "Your kernel does not support IOPS Block read limit or the cgroup is not mounted."
    " Block I/O IOPS read limit discarded.",
    "BlkioDeviceWriteIOps": "Your kernel does not support IOPS Block write limit or the cgroup is not mounted."
    " Block I/O IOPS write limit discarded.",
    "OomKillDisable": "Your kernel does not support OomKillDisable. OomKillDisable discarded.",
    "KernelMemoryTCP": "Your kernel does not support kernel memory TCP limit. KernelMemoryTCP discarded.",
    "CpusetMems": "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
    "KernelMemory": "Specifying a kernel memory limit is deprecated and will be removed in a future release.",
}
#: as it is sent where nobody asks for anything
_NO_SWAPPINESS = (None, -1)
_SWAPPINESS = (
    "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted."
    " Memory swappiness discarded."
)
#: of Config, what a container has no use for
_OF_IMAGES = ("OnBuild", "Shell")
#: what is the same for every container
_FIXED = {"CgroupnsMode": ("", "private"), "Cgroup": ("",), "UsernsMode": ("", "host")}
_RUNTIMES = ("", "sandbox", "runc", "io.containerd.runc.v2")


def refuse_fields(host: Document, body: Document) -> None:
    """Raise ApiError for what a HostConfig asks for and nobody can have; `body` is what it stands in."""
    for field, why in _REFUSED.items():
        if value_of(host, field):
            raise ApiError(501, f"HostConfig.{field} is not supported: {why}")
    runtime = text(host, "Runtime") or text(body, "Runtime")
    isolation, driver = text(host, "Isolation"), text(host, "VolumeDriver")
    if runtime not in _RUNTIMES:
        raise ApiError(400, f"unknown or invalid runtime name: {runtime}")
    if isolation not in ("", "default"):
        raise ApiError(400, f"invalid isolation '{isolation}' on linux")
    # the driver is asked for volumes that are made for the container
    makes = value_of(body, "Volumes") or any(not bind.startswith("/") for bind in texts(host, "Binds"))
    if driver not in ("", "local") and makes:
        raise ApiError(404, f'error looking up volume plugin {driver}: plugin "{driver}" not found')
    for field, known in _FIXED.items():
        value = text(host, field)
        if field == "CgroupnsMode" and value not in ("", "private", "host"):
            raise ApiError(400, f"invalid cgroup namespace mode: {value}")
        if value not in known:
            raise ApiError(501, f"HostConfig.{field} is not supported: {value} is of an engine with root's power")
    for field, usual in (("MaskedPaths", default_masked_paths()), ("ReadonlyPaths", DEFAULT_READ_ONLY_PATHS)):
        value = value_of(host, field)
        # all of them, or none
        if value and set(map(str, value)) != set(usual):
            raise ApiError(501, f"HostConfig.{field} is not supported: paths are hidden all, or with [] none")


def warnings_of(body: Document, host: Document) -> Iterator[str]:
    """What of a container's configuration is left out, a sentence each."""
    yield from discarded(host)
    for field in _OF_IMAGES:
        if value_of(body, field):
            yield f"{field} is a matter of images. {field} discarded."


def discarded(host: Document) -> Iterator[str]:
    """What of a HostConfig, or of an update, is left out, a sentence each."""
    for field, sentence in _DISCARDED.items():
        if value_of(host, field):
            yield sentence
    if value_of(host, "MemorySwappiness") not in _NO_SWAPPINESS:
        yield _SWAPPINESS
