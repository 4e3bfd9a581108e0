"""Capability sets: names, Docker's default, and what --cap-add, --cap-drop and --privileged make of it."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.runtime import syscalls as sc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: capabilities(7); the index is the number
CAPABILITIES: tuple[str, ...] = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)

DEFAULT_CAPABILITIES: tuple[str, ...] = (
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
)

_NUMBERS = {name: number for number, name in enumerate(CAPABILITIES)}
_EVERY = (1 << len(CAPABILITIES)) - 1


def resolve_capabilities(
    add: Iterable[str] = (), drop: Iterable[str] = (), *, privileged: bool = False
) -> tuple[str, ...]:
    """The bounding set that --cap-add, --cap-drop and --privileged ask for, in kernel order. Raises UsageError.

    As in Docker: `ALL` on one side and names on the other are exceptions from it; a name on both sides is dropped,
    unless everything was; --privileged overrules both.
    """
    if privileged:
        return CAPABILITIES
    added, dropped = _normalised(add), _normalised(drop)
    if "ALL" in added:
        chosen = set(CAPABILITIES) - dropped
    elif "ALL" in dropped:
        chosen = added
    else:
        chosen = (set(DEFAULT_CAPABILITIES) | added) - dropped
    return tuple(name for name in CAPABILITIES if name in chosen)


def capability_mask(names: Iterable[str]) -> int:
    """The set as the kernel writes it: bit n is capability n."""
    return sum(1 << _NUMBERS[name] for name in set(names))


def limit_capabilities(names: Iterable[str]) -> None:
    """Drop everything but `names` from the bounding set of the calling process; ambient and inheritable become empty.

    Effective and permitted stay full: the rest of the set-up needs them, and execve(2) reduces them to the
    bounding set for uid 0 and to nothing for any other.
    """
    kept = {_NUMBERS[name] for name in names}
    for number in range(_last_capability() + 1):
        if number not in kept:
            sc.prctl(sc.PR_CAPBSET_DROP, number)
    sc.prctl(sc.PR_CAP_AMBIENT, sc.PR_CAP_AMBIENT_CLEAR_ALL)


def raise_effective() -> None:
    """Make every permitted capability effective again after a change of uid, with an empty inheritable set."""
    permitted = _EVERY & ((1 << (_last_capability() + 1)) - 1)
    sc.capset(permitted, permitted, 0)


def _last_capability() -> int:
    # asked of prctl: /proc/sys/kernel/cap_last_cap may be the container's by now
    number = len(CAPABILITIES)
    while number < 64:
        try:
            sc.prctl(sc.PR_CAPBSET_READ, number)
        except OSError:
            return number - 1
        number += 1
    return number - 1


def _normalised(names: Iterable[str]) -> set[str]:
    result = set()
    for name in names:
        upper = name.upper()
        if upper == "ALL":
            result.add("ALL")
            continue
        full = upper if upper.startswith("CAP_") else f"CAP_{upper}"
        if full == "CAP_ALL":
            full = "ALL"
        elif full not in _NUMBERS:
            raise UsageError(f"invalid CapAdd/CapDrop: unknown capability: {name!r}", mend="man 7 capabilities")
        result.add(full)
    return result
