"""What the kernel's own account of a container says: the files of its cgroup (cgroup-v2.rst)."""

from __future__ import annotations

from sandbox.container.usage.usage import Device, Throttling
from sandbox.named_tuple import NamedTuple

_US = 1000


class CgroupAccount(NamedTuple):
    """What the files say; `devices` is None where the io controller was not handed on. A limit of 0 is none."""

    cpu_ns: int
    user_ns: int
    system_ns: int
    throttling: Throttling
    memory_bytes: int
    memory_limit_bytes: int
    memory_details: dict[str, int]
    processes: int
    process_limit: int
    devices: tuple[Device, ...] | None


def read_account(cgroup: str) -> CgroupAccount | None:
    """The account of a cgroup directory; None where it is gone, or has no account of memory or of processes."""
    try:
        times = _pairs(f"{cgroup}/cpu.stat")
        memory, details = int(_text(f"{cgroup}/memory.current")), _pairs(f"{cgroup}/memory.stat")
        processes = int(_text(f"{cgroup}/pids.current"))
        limits = [_limit(_text(f"{cgroup}/{name}")) for name in ("memory.max", "pids.max")]
    except (OSError, ValueError):
        return None
    throttling = Throttling(
        times.get("nr_periods", 0), times.get("nr_throttled", 0), times.get("throttled_usec", 0) * _US
    )
    return CgroupAccount(
        times.get("usage_usec", 0) * _US,
        times.get("user_usec", 0) * _US,
        times.get("system_usec", 0) * _US,
        throttling,
        memory,
        limits[0],
        details,
        processes,
        limits[1],
        _devices(f"{cgroup}/io.stat"),
    )


def _devices(path: str) -> tuple[Device, ...] | None:
    try:
        lines = _text(path).splitlines()
    except OSError:
        return None
    found = []
    for line in lines:
        number, *words = line.split()
        major, _, minor = number.partition(":")
        values = dict(word.split("=", 1) for word in words if "=" in word)
        found.append(Device(int(major), int(minor), int(values.get("rbytes", 0)), int(values.get("wbytes", 0))))
    return tuple(found)


def _limit(text: str) -> int:
    return 0 if text.strip() == "max" else int(text)


def _pairs(path: str) -> dict[str, int]:
    return {name: int(value) for name, _, value in (line.partition(" ") for line in _text(path).splitlines())}


def _text(path: str) -> str:
    with open(path, "rb", buffering=0) as file:
        return file.read().decode()
