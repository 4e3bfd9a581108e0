"""Paths of the kernel's own file systems that a container does not see, or cannot write to.

For who shows them too: no system call is bound here, which takes ctypes.
"""

from __future__ import annotations

import os

#: Docker's, so that tools which look for one of them find the same
DEFAULT_MASKED_PATHS: tuple[str, ...] = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
DEFAULT_READ_ONLY_PATHS: tuple[str, ...] = (
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
)


def default_masked_paths(sys: str = "/sys") -> tuple[str, ...]:
    """Docker's masked paths on this machine: the list, and the counters that tell how hot each processor ran."""
    place = "devices/system/cpu"
    if not os.path.exists(f"{sys}/{place}/cpu0/thermal_throttle"):
        return DEFAULT_MASKED_PATHS
    processors = (name for name in os.listdir(f"{sys}/{place}") if name[:3] == "cpu" and name[3:].isdecimal())
    return (*DEFAULT_MASKED_PATHS, *(f"/sys/{place}/{name}/thermal_throttle" for name in sorted(processors)))
