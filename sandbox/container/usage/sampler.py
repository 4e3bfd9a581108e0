"""Reads what containers take, again and again: from their cgroups where they have some, from /proc where not."""

from __future__ import annotations

import os
import time

from sandbox.container.usage.cgroup_files import read_account
from sandbox.container.usage.proc_sums import NS_PER_TICK, Sums, Totals, add, gone_since, read_interfaces, sum_up
from sandbox.container.usage.processes import First, processes_of
from sandbox.container.usage.usage import Device, Usage
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.container.model.record import Container, ContainerState
    from sandbox.container.usage.cgroup_files import CgroupAccount
    from sandbox.container.usage.processes import Process


class _Machine(NamedTuple):
    """What is the same for all containers of one reading."""

    time_ns: int
    cpu_ns: int
    processors: int
    memory_bytes: int


class Sampler:
    """Keeps what the readings before it must be held against."""

    def __init__(self) -> None:
        #: the last sums of each run of a container, and what has gone from it
        self._kept: dict[tuple[str, int, int], tuple[Sums, Totals]] = {}

    def read(self, containers: Sequence[Container]) -> dict[str, Usage]:
        """What each takes now, by id; one that does not run is absent. A run that is not asked for is forgotten."""
        machine = _read_machine()
        running = [container for container in containers if container.state.pid]
        accounts = {each.id: read_account(each.state.cgroup) for each in running if each.state.cgroup}
        # where the account lacks something, the processes are asked for it
        asked = [each for each in running if (account := accounts.get(each.id)) is None or account.devices is None]
        found = processes_of({each.id: First(each.state.pid, each.state.pid_start) for each in asked})
        sums = {each.id: self._sum_up(each, found[each.id]) for each in asked if each.id in found}
        runs = {_run(each.id, each.state) for each in running}
        self._kept = {run: kept for run, kept in self._kept.items() if run in runs}
        usages = {}
        for container in running:
            account = accounts.get(container.id)
            interfaces = () if container.config.network == "host" else read_interfaces(container.state.pid)
            if account is not None:
                usage = _of_account(machine, account, sums.get(container.id))
            elif container.id in sums:
                usage = _of_sums(machine, sums[container.id])
            else:
                continue
            usages[container.id] = usage._replace(interfaces=interfaces)
        return usages

    def _sum_up(self, container: Container, processes: Sequence[Process]) -> Sums:
        run = _run(container.id, container.state)
        before, gone = self._kept.get(run, (None, Totals()))
        sums = sum_up(processes, gone)
        if before is not None:
            lost = gone_since(before, sums)
            gone = add(gone, lost)
            sums = sums._replace(totals=add(sums.totals, lost))
        self._kept[run] = (sums, gone)
        return sums


def _run(container_id: str, state: ContainerState) -> tuple[str, int, int]:
    return container_id, state.pid, state.pid_start


def _read_machine() -> _Machine:
    with open("/proc/stat", "rb", buffering=0) as file:
        # proc(5): user, nice, system, idle, iowait, irq, softirq; the rest is counted in these
        fields = file.read(4096).split(b"\n", 1)[0].split()[1:8]
    return _Machine(
        time.time_ns(),
        sum(map(int, fields)) * NS_PER_TICK,
        os.sysconf("SC_NPROCESSORS_ONLN"),
        os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
    )


def _of_account(machine: _Machine, account: CgroupAccount, sums: Sums | None) -> Usage:
    devices = account.devices
    if devices is None:
        devices = _devices(sums.totals) if sums is not None else ()
    limit = account.memory_limit_bytes
    return Usage(
        machine.time_ns,
        "cgroup",
        account.cpu_ns,
        account.user_ns,
        account.system_ns,
        machine.cpu_ns,
        machine.processors,
        account.memory_bytes,
        min(limit, machine.memory_bytes) if limit else machine.memory_bytes,
        account.processes,
        account.process_limit,
        account.memory_details.get("inactive_file", 0),
        account.memory_details,
        devices=devices,
        throttling=account.throttling,
    )


def _of_sums(machine: _Machine, sums: Sums) -> Usage:
    totals = sums.totals
    return Usage(
        machine.time_ns,
        "proc",
        totals.user_ns + totals.system_ns,
        totals.user_ns,
        totals.system_ns,
        machine.cpu_ns,
        machine.processors,
        sums.memory_bytes,
        machine.memory_bytes,
        sums.threads,
        devices=_devices(totals),
    )


def _devices(totals: Totals) -> tuple[Device, ...]:
    return (Device(0, 0, totals.read_bytes, totals.written_bytes),)
