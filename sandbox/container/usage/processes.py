"""Which processes are a container's, found in one pass over /proc for any number of containers.

Each container has a mount namespace of its own, whichever of the others it shares, and what is executed in it enters
that. So a process is the container's where it is in the namespace of its first process, or descends from one that is.
"""

from __future__ import annotations

import os

from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class First(NamedTuple):
    """A container's first process; `start` tells it from a later one of its number."""

    pid: int
    start: int


class Process(NamedTuple):
    """A process as /proc/PID/stat has it; times are clock ticks, with those of children that were waited for."""

    pid: int
    parent: int
    state: str
    start: int
    user_ticks: int
    system_ticks: int
    threads: int

    @property
    def has_ended(self) -> bool:
        """Whether nobody has waited for it yet, and nothing else is left of it."""
        return self.state in ("Z", "X")


def processes_of(firsts: Mapping[str, First], proc: str = "/proc") -> dict[str, list[Process]]:
    """The processes below each key, by pid, the first process among them; a key whose first one has ended is absent."""
    found: dict[str, list[Process]] = {}
    keys: dict[str, str] = {}
    for key, first in firsts.items():
        namespace = _namespace(proc, str(first.pid), "mnt")
        # read after the link was: the number may be another process's by now
        process = read_process(first.pid, proc)
        if namespace and process is not None and process.start == first.start and not process.has_ended:
            keys[namespace] = key
            found[key] = []
    if not found:
        return {}
    others: list[int] = []
    own_users = _namespace(proc, "self", "user")
    for name in os.listdir(proc):
        if not name.isdecimal():
            continue
        pid = int(name)
        try:
            key_here = keys.get(os.readlink(f"{proc}/{name}/ns/mnt"))
        except FileNotFoundError:
            # it is gone, or has ended and nobody has waited for it yet
            others.append(pid)
            continue
        except OSError:
            continue
        if key_here is None:
            if _namespace(proc, name, "user") != own_users:
                others.append(pid)
        else:
            found[key_here] += filter(None, [read_process(pid, proc)])
    _add_descendants(found, filter(None, (read_process(pid, proc) for pid in others)))
    for processes in found.values():
        processes.sort()
    return found


def _add_descendants(found: Mapping[str, list[Process]], others: Iterable[Process]) -> None:
    """Those of `others` whose parents are known join them, however deep."""
    homes = {process.pid: key for key, processes in found.items() for process in processes}
    children: dict[int, list[Process]] = {}
    for process in others:
        children.setdefault(process.parent, []).append(process)
    # each parent once: a container can have thousands, one below the other
    parents = list(homes)
    while parents:
        parent = parents.pop()
        for process in children.get(parent, ()):
            # a number that was given anew meanwhile may be there twice
            if process.pid not in homes:
                homes[process.pid] = homes[parent]
                found[homes[parent]].append(process)
                parents.append(process.pid)


def read_process(pid: int, proc: str = "/proc") -> Process | None:
    """The process; None where there is none."""
    try:
        with open(f"{proc}/{pid}/stat", "rb", buffering=0) as file:
            text = file.read()
    except OSError:
        return None
    # the command name, field 2, may hold spaces and parentheses
    fields = text[text.rindex(b")") + 2 :].split()
    return Process(
        pid,
        int(fields[1]),
        fields[0].decode(),
        int(fields[19]),
        int(fields[11]) + int(fields[13]),
        int(fields[12]) + int(fields[14]),
        int(fields[17]),
    )


def _namespace(proc: str, pid: str, kind: str) -> str:
    """The name of a process's namespace; "" where it cannot be seen."""
    try:
        return os.readlink(f"{proc}/{pid}/ns/{kind}")
    except OSError:
        return ""
