"""Limits through cgroup v2: which subtree is ours to use, what it can enforce, and writing the limits.

    <subtree>/monitor      the container's monitor (cgroups(7): a cgroup that passes controllers on holds no processes)
    <subtree>/container    the container, with its limits

A subtree comes from the user's systemd manager, as a scope with Delegate=yes made for the monitor's pid, or is a
directory below a cgroup that was handed to this user.
"""

from __future__ import annotations

import os
import select
import time
from contextlib import suppress

from sandbox.errors import HostError, StartError
from sandbox.named_tuple import NamedTuple
from sandbox.runtime import syscalls as sc
from sandbox.runtime.systemd_scopes import attach_to_scope, cgroup_of, find_bus, is_booted, lingers, start_scope
from storage.waits import carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Literal

    from sandbox.values import Resources
    from storage.waits import Steps

_ROOT = "/sys/fs/cgroup"
_CPU_PERIOD_US = 100_000
_REMOVAL_SECONDS = 5.0
#: what an administrator runs to have systemd hand every controller to users
DELEGATE_COMMAND = (
    "sudo mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' "
    "| sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl daemon-reload"
)


class CgroupProbe(NamedTuple):
    """What this host gives: `parent` is the cgroup directory below which ours go, somewhere below it with systemd."""

    kind: Literal["systemd", "writable", "none"]
    parent: str = ""
    controllers: frozenset[str] = frozenset()
    #: why there is none, and what would change it
    reason: str = ""
    mend: str = ""


class LimitWrite(NamedTuple):
    """`value` goes to `file` of the container's cgroup, which the controller provides."""

    controller: str
    file: str
    value: str


class LimitPlan(NamedTuple):
    """How limits are enforced: cgroup files, RLIMIT_NPROC in the container (0 is none), and in words what is not."""

    writes: tuple[LimitWrite, ...]
    process_limit: int
    notes: tuple[str, ...]


def probe_cgroups(env: Mapping[str, str], root: str = _ROOT) -> CgroupProbe:
    """Look for a cgroup v2 subtree this user may use. Writes nothing."""
    if not sc.is_filesystem(root, sc.CGROUP2_SUPER_MAGIC):
        reason = f"{root} is not a cgroup v2 tree (this host still uses cgroup v1, alone or beside v2)"
        return CgroupProbe("none", reason=reason, mend="boot with systemd.unified_cgroup_hierarchy=1")
    # systemd first: below its own cgroups nobody else may make any (systemd.io/CGROUP_DELEGATION)
    systemd = _probe_systemd(root) if find_bus(env) else None
    if systemd is not None and systemd.kind == "systemd":
        return systemd
    writable = find_writable(f"{root}{cgroup_of()}", root)
    if writable is not None:
        return writable
    return systemd or CgroupProbe(
        "none",
        reason="no cgroup is delegated to this user, and its systemd manager does not run",
        mend=f"sudo loginctl enable-linger {os.getuid()}   (then log in again)" if is_booted() else "",
    )


def find_writable(own: str, root: str = _ROOT) -> CgroupProbe | None:
    """The nearest cgroup from `own` up to `root` in which this user may make others that have controllers."""
    directory = own
    while directory.startswith(root):
        passed_on = _words(f"{directory}/cgroup.subtree_control")
        if passed_on and all(
            os.access(path, os.W_OK) for path in (directory, f"{directory}/cgroup.procs", f"{own}/cgroup.procs")
        ):
            return CgroupProbe("writable", directory, frozenset(passed_on))
        if directory == root:
            break
        directory = os.path.dirname(directory)
    return None


def plan_limits(resources: Resources, probe: CgroupProbe) -> LimitPlan:
    """How to enforce `resources` with what `probe` found. Raises HostError for what cannot be, unless best effort."""
    writes, missing, process_limit = [], [], 0
    for write in limit_writes(resources):
        if write.controller in probe.controllers:
            writes.append(write)
        elif write.controller == "pids":
            process_limit = resources.pids_limit
        else:
            missing.append(write)
    notes = tuple(f"{write.file} is not enforced: {_why_missing(write, probe)}" for write in missing)
    if missing and not resources.best_effort:
        raise HostError(
            f"cannot limit {', '.join(sorted({write.controller for write in missing}))} of the container",
            cause=_why_missing(missing[0], probe),
            mend=f"{probe.mend}   (or: --best-effort)" if probe.mend else "run it without the limit, or --best-effort",
        )
    return LimitPlan(tuple(writes), process_limit, notes)


def limit_writes(resources: Resources) -> tuple[LimitWrite, ...]:
    """The cgroup v2 files for `resources`, as runc converts Docker's values."""
    writes = []
    if resources.memory_bytes:
        writes.append(LimitWrite("memory", "memory.max", str(resources.memory_bytes)))
        writes.append(LimitWrite("memory", "memory.swap.max", _swap_limit(resources)))
    if resources.memory_reservation_bytes:
        writes.append(LimitWrite("memory", "memory.low", str(resources.memory_reservation_bytes)))
    if resources.nano_cpus:
        quota = max(1000, resources.nano_cpus * _CPU_PERIOD_US // 1_000_000_000)
        writes.append(LimitWrite("cpu", "cpu.max", f"{quota} {_CPU_PERIOD_US}"))
    if resources.cpu_shares:
        # 2..262144 of v1 onto 1..10000 of v2
        shares = min(max(resources.cpu_shares, 2), 262144)
        writes.append(LimitWrite("cpu", "cpu.weight", str(1 + (shares - 2) * 9999 // 262142)))
    if resources.cpuset_cpus:
        writes.append(LimitWrite("cpuset", "cpuset.cpus", resources.cpuset_cpus))
    if resources.pids_limit > 0:
        # the kernel takes no greater number
        most = str(resources.pids_limit) if resources.pids_limit <= sc.PID_MAX_LIMIT else "max"
        writes.append(LimitWrite("pids", "pids.max", most))
    return tuple(writes)


def outlives_session(probe: CgroupProbe) -> bool:
    """Whether a cgroup from `probe` is not ended with the log-in session of its user."""
    return probe.kind == "systemd" and lingers()


def claim_subtree(probe: CgroupProbe, container_id: str, monitor_pid: int, env: Mapping[str, str]) -> str:
    """The cgroup directory for a container and its monitor; called by the command. Raises HostError."""
    if probe.kind == "systemd":
        unit = f"sandbox-{container_id[:12]}-{monitor_pid}.scope"
        return f"{_ROOT}{start_scope(unit, monitor_pid, env)}"
    subtree = f"{probe.parent}/sandbox-{container_id}"
    try:
        os.makedirs(subtree, exist_ok=True)
    except OSError as error:
        raise HostError(f"cannot make the cgroup {subtree}", cause=error.strerror or "") from error
    return subtree


class ContainerCgroup(NamedTuple):
    """A container's cgroup, and the one its monitor came from: it goes back there to let both be removed."""

    path: str
    #: "" where the caller is not that monitor
    origin: str = ""


def make_container_cgroup(subtree: str, writes: Iterable[LimitWrite]) -> ContainerCgroup:
    """Split `subtree` in two, move the calling monitor into its half and limit the other.

    Called in the monitor, once for each of its own lives. Raises HostError.
    """
    writes = tuple(writes)
    origin = f"{_ROOT}{cgroup_of()}"
    container = f"{subtree}/container"
    try:
        os.makedirs(f"{subtree}/monitor", exist_ok=True)
        _write(f"{subtree}/monitor/cgroup.procs", "0")
        # those that cost little, and say what the container takes
        counted = _words(f"{subtree}/cgroup.controllers") & {"io", "memory", "pids"}
        wanted = sorted({write.controller for write in writes} | counted)
        if wanted:
            _write(f"{subtree}/cgroup.subtree_control", " ".join(f"+{name}" for name in wanted))
        os.makedirs(container, exist_ok=True)
        for write in writes:
            _write_limit(f"{container}/{write.file}", write)
    except OSError as error:
        raise HostError(
            f"cannot set up the cgroup {container}", cause=f"{error.strerror}: {error.filename}", mend="sandbox doctor"
        ) from error
    return ContainerCgroup(container, origin)


#: what a file says where nothing is limited
_UNLIMITED = {
    "memory.max": "max", "memory.swap.max": "max", "memory.low": "0", "cpu.max": f"max {_CPU_PERIOD_US}",
    "cpu.weight": "100", "cpuset.cpus": "\n", "pids.max": "max",
}  # fmt: skip


def change_limits(cgroup: str, before: Resources, after: Resources) -> None:
    """Have the container's cgroup hold other limits, all of them or none. Raises HostError."""
    writes = limit_writes(after)
    limited = {write.file for write in writes}
    lifted = [
        write._replace(value=_UNLIMITED[write.file]) for write in limit_writes(before) if write.file not in limited
    ]
    subtree = os.path.dirname(cgroup)
    done: list[tuple[str, LimitWrite]] = []
    try:
        present = _words(f"{subtree}/cgroup.subtree_control")
        if wanted := sorted({write.controller for write in writes} - present):
            _write(f"{subtree}/cgroup.subtree_control", " ".join(f"+{name}" for name in wanted))
        for write in (*lifted, *writes):
            path = f"{cgroup}/{write.file}"
            done.append((path, write._replace(value=_text(path))))
            _write_limit(path, write)
    except OSError as error:
        for path, former in reversed(done):
            with suppress(OSError):
                _write_limit(path, former)
        raise HostError(
            "cannot change the limits of the container",
            cause=f"{error.strerror}: {error.filename}",
            mend="sandbox doctor",
        ) from error


def join_cgroup(cgroup: str, pid: int, env: Mapping[str, str]) -> None:
    """Move a child of the caller into a container's cgroup. Raises StartError."""
    try:
        _write(f"{cgroup}/cgroup.procs", str(pid))
    except PermissionError as error:
        # out of a log-in session only systemd can move it
        if not attach_to_scope(cgroup, pid, env):
            raise StartError(f"cannot enter the cgroup {cgroup}", cause=error.strerror or "") from error
    except OSError as error:
        raise StartError(f"cannot enter the cgroup {cgroup}", cause=error.strerror or "") from error


def count_oom_kills(cgroup: str) -> int:
    """How many processes of `cgroup` the kernel has killed for want of memory; 0 where that is not counted."""
    try:
        with open(f"{cgroup}/memory.events") as file:
            events = dict(line.split() for line in file)
    except (OSError, ValueError):
        return 0
    return int(events.get("oom_kill", "0"))


def remove_container_cgroup(cgroup: ContainerCgroup) -> None:
    """End what still runs in the container's cgroup and remove it; nothing where it is gone already.

    Called by the monitor itself, or for one that was killed, by whoever finds its record.
    """
    carry_out(removal_steps(cgroup))


def removal_steps(cgroup: ContainerCgroup) -> Steps[None]:
    """`remove_container_cgroup`, for who does something else meanwhile."""
    with suppress(OSError):
        _write(f"{cgroup.path}/cgroup.kill", "1")
    subtree = os.path.dirname(cgroup.path)
    if cgroup.origin and f"{_ROOT}{cgroup_of()}" == f"{subtree}/monitor":
        # refused where systemd brought us from a session: then the scope goes with its last process
        with suppress(OSError):
            _write(f"{cgroup.origin}/cgroup.procs", "0")
    yield from _wait_until_empty(cgroup.path)
    for directory in (cgroup.path, f"{subtree}/monitor", subtree):
        with suppress(OSError):
            os.rmdir(directory)


def _wait_until_empty(cgroup: str) -> Steps[None]:
    """Wait until the kernel tells that no process is left in it, for a while.

    Those of `--pid host` do not end with the container's first process, and cgroup.kill does not wait for them.
    """
    deadline = time.monotonic() + _REMOVAL_SECONDS
    # gone already, or going while we look (ENODEV): empty either way
    with suppress(OSError), open(f"{cgroup}/cgroup.events", "rb", buffering=0) as events, select.epoll() as change:
        # cgroup-v2.rst, "cgroup.events": a change is told as POLLPRI to who has read the file
        change.register(events, select.EPOLLPRI)
        while b"populated 1" in os.pread(events.fileno(), 4096, 0):
            left = deadline - time.monotonic()
            if left <= 0 or not (yield change.fileno(), left):
                return


def _swap_limit(resources: Resources) -> str:
    # Docker's --memory-swap is memory and swap together; unset, there is as much swap as memory
    if resources.memory_swap_bytes < 0:
        return "max"
    if resources.memory_swap_bytes == 0:
        return str(resources.memory_bytes)
    return str(max(0, resources.memory_swap_bytes - resources.memory_bytes))


def _why_missing(write: LimitWrite, probe: CgroupProbe) -> str:
    return (
        probe.reason or f"the controller {write.controller} is not delegated (there are: {_listed(probe.controllers)})"
    )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"


def _write_limit(path: str, write: LimitWrite) -> None:
    try:
        _write(path, write.value)
    except FileNotFoundError:
        if write.file != "memory.swap.max":  # a kernel without swap accounting has no such file, and no swap to limit
            raise


def _write(path: str, value: str) -> None:
    with open(path, "w") as file:
        file.write(value)


def _words(path: str) -> set[str]:
    return set(_text(path).split())


def _text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _probe_systemd(root: str) -> CgroupProbe:
    manager = f"{root}/user.slice/user-{os.getuid()}.slice/user@{os.getuid()}.service"
    controllers = _words(f"{manager}/cgroup.controllers")
    if not controllers:
        return CgroupProbe(
            "none",
            reason=f"systemd delegates no controllers to this user ({manager}/cgroup.controllers)",
            mend=DELEGATE_COMMAND,
        )
    return CgroupProbe("systemd", manager, frozenset(controllers), mend=DELEGATE_COMMAND)
