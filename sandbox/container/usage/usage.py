"""What a container takes at one moment, as values, and what two moments make of them."""

from __future__ import annotations

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Literal


class Interface(NamedTuple):
    """A network interface as the container has it: what came in and what went out."""

    name: str
    received_bytes: int
    received_packets: int
    received_errors: int
    received_dropped: int
    sent_bytes: int
    sent_packets: int
    sent_errors: int
    sent_dropped: int


class Device(NamedTuple):
    """What was read of a block device and written to it; major and minor 0 are all devices together."""

    major: int
    minor: int
    read_bytes: int
    written_bytes: int


class Throttling(NamedTuple):
    """How often a limit of processors held the container up."""

    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0


class Usage(NamedTuple):
    """One reading. Times of processors add up from the container's start."""

    time_ns: int  # Unix time
    #: "cgroup": the kernel's own account; "proc": the sum over the container's processes
    source: Literal["cgroup", "proc"]
    cpu_ns: int
    user_ns: int
    system_ns: int
    #: of the whole machine, idle too
    machine_cpu_ns: int
    processors: int
    #: with the page cache that can be had back at any moment, `reclaimable_bytes`
    memory_bytes: int
    memory_limit_bytes: int
    processes: int
    #: 0 is none
    process_limit: int = 0
    reclaimable_bytes: int = 0
    memory_details: Mapping[str, int] = {}
    interfaces: tuple[Interface, ...] = ()
    devices: tuple[Device, ...] = ()
    throttling: Throttling = Throttling()

    @property
    def used_bytes(self) -> int:
        """Memory as Docker's client shows it: without page cache that nobody used lately."""
        reclaimable = self.reclaimable_bytes
        return self.memory_bytes - reclaimable if reclaimable < self.memory_bytes else self.memory_bytes

    @property
    def memory_percent(self) -> float:
        return 100.0 * self.used_bytes / self.memory_limit_bytes if self.memory_limit_bytes else 0.0

    @property
    def received_bytes(self) -> int:
        return sum(interface.received_bytes for interface in self.interfaces)

    @property
    def sent_bytes(self) -> int:
        return sum(interface.sent_bytes for interface in self.interfaces)

    @property
    def read_bytes(self) -> int:
        return sum(device.read_bytes for device in self.devices)

    @property
    def written_bytes(self) -> int:
        return sum(device.written_bytes for device in self.devices)


def cpu_percent(before: Usage | None, now: Usage, started_ns: int) -> float:
    """Of one processor's time, so that two busy ones are 200; since `before`, or without one since the start."""
    if before is None:
        elapsed_ns = now.time_ns - started_ns
        return 100.0 * now.cpu_ns / elapsed_ns if elapsed_ns > 0 else 0.0
    used_ns, machine_ns = now.cpu_ns - before.cpu_ns, now.machine_cpu_ns - before.machine_cpu_ns
    return 100.0 * now.processors * used_ns / machine_ns if used_ns > 0 and machine_ns > 0 else 0.0
