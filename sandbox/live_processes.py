"""Processes that a record names: by pid, start time and boot, for a number alone may be another process's by now."""

from __future__ import annotations

from functools import cache


@cache
def boot_id() -> str:
    """The kernel's id of this boot, random(4): a pid recorded under another one names nobody."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def process_start(pid: int) -> int:
    """When `pid` started, in clock ticks since boot (proc(5), stat field 22); 0 where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return 0
    # the command name, field 2, may hold spaces and parentheses
    fields = text[text.rindex(b")") + 2 :].split()
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def is_halted(pid: int) -> bool:
    """Whether the process was stopped by a signal or a debugger, proc(5), stat field 3."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return False
    return text[text.rindex(b")") + 2 :][:1] in (b"T", b"t")


def is_alive(pid: int, start: int, boot: str) -> bool:
    """Whether the process recorded as (`pid`, `start`) in boot `boot` still runs."""
    return pid > 0 and boot == boot_id() and process_start(pid) == start and start > 0
