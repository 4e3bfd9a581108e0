"""What a container takes where it has no cgroup of its own: the sum over its processes, proc(5).

A parent's numbers have those of the children that it waited for. What is executed in a container is waited for outside:
what such a process had taken is remembered when it has gone, so that no number of a container ever gets smaller.
Memory is the proportional share of each process: what two share counts once.
"""

from __future__ import annotations

import os

from sandbox.container.usage.usage import Interface
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sandbox.container.usage.processes import Process

NS_PER_TICK = 10**9 // os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
#: of /proc/net/dev after an interface's name: bytes, packets, errors and drops, received and sent
_NETWORK_FIELDS = (0, 1, 2, 3, 8, 9, 10, 11)


class Totals(NamedTuple):
    """What processes have taken since they began."""

    user_ticks: int = 0
    system_ticks: int = 0
    read_bytes: int = 0
    written_bytes: int = 0

    @property
    def user_ns(self) -> int:
        return self.user_ticks * NS_PER_TICK

    @property
    def system_ns(self) -> int:
        return self.system_ticks * NS_PER_TICK


class Sums(NamedTuple):
    """A reading; `outside` are those whose parents are not of the container, by pid and start."""

    totals: Totals
    memory_bytes: int
    threads: int
    outside: dict[tuple[int, int], Totals]


def sum_up(processes: Sequence[Process], gone: Totals = Totals(), proc: str = "/proc") -> Sums:  # noqa: B008  a value
    """The sum over `processes` and what those took that have `gone`."""
    inside = {process.pid for process in processes}
    own = [(process, _totals_of(process, proc)) for process in processes]
    return Sums(
        add(gone, *(totals for _process, totals in own)),
        sum(_memory_bytes(process, proc) for process in processes if not process.has_ended),
        sum(process.threads for process in processes if not process.has_ended),
        {(process.pid, process.start): totals for process, totals in own if process.parent not in inside},
    )


def gone_since(before: Sums, now: Sums) -> Totals:
    """What those had taken when last seen that have gone, and whose parents are not of the container."""
    return add(*(totals for key, totals in before.outside.items() if key not in now.outside))


def add(*totals: Totals) -> Totals:
    """All of them together."""
    return Totals(*map(sum, zip(*totals, strict=True))) if totals else Totals()


def _totals_of(process: Process, proc: str) -> Totals:
    values = {"read_bytes": 0, "write_bytes": 0}
    try:
        with open(f"{proc}/{process.pid}/io", "rb", buffering=0) as file:
            for line in file.read().splitlines():
                name, _, value = line.partition(b": ")
                values[name.decode()] = int(value)
    except OSError:
        # it ended just now
        pass
    return Totals(process.user_ticks, process.system_ticks, values["read_bytes"], values["write_bytes"])


def _memory_bytes(process: Process, proc: str) -> int:
    try:
        with open(f"{proc}/{process.pid}/smaps_rollup", "rb", buffering=0) as file:
            for line in file.read().splitlines():
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) << 10
    except OSError:
        pass
    try:
        # a kernel without that file
        with open(f"{proc}/{process.pid}/statm", "rb", buffering=0) as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def read_interfaces(pid: int, proc: str = "/proc") -> tuple[Interface, ...]:
    """The interfaces in a process's network namespace but the loopback; none where the process has ended."""
    try:
        with open(f"{proc}/{pid}/net/dev", "rb", buffering=0) as file:
            lines = file.read().decode(errors="replace").splitlines()[2:]
    except OSError:
        return ()
    return tuple(_interfaces(lines))


def _interfaces(lines: Iterable[str]) -> Iterable[Interface]:
    for line in lines:
        # a name may hold a colon
        name, _, rest = line.rpartition(":")
        fields = rest.split()
        if name.strip() != "lo":
            yield Interface(name.strip(), *(int(fields[place]) for place in _NETWORK_FIELDS))
