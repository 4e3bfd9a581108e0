"""`--ulimit`, `--sysctl`, and the resources a cgroup gives."""

from __future__ import annotations

from sandbox.errors import UsageError
from sandbox.runtime.spec import RESOURCE_NAMES
from sandbox.values import Resources, Rlimit

_LEAST_MEMORY = 6 * 1024 * 1024
#: what a container's own ipc and network namespaces keep apart from the host's
_SYSCTLS = frozenset({
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced", "kernel.hostname", "kernel.domainname",
})  # fmt: skip


def parse_ulimit(text: str) -> Rlimit:
    """`name=soft[:hard]`, with -1 for no limit. Raises UsageError."""
    name, equals, values = text.partition("=")
    if not equals:
        raise UsageError(f"invalid ulimit argument: {text}")
    _check_resource(name)
    soft_text, colon, hard_text = values.partition(":")
    soft = _limit(soft_text, text)
    hard = _limit(hard_text, text) if colon else soft
    return check_rlimit(name, soft, hard)


def check_rlimit(name: str, soft: int, hard: int) -> Rlimit:
    """The limit, -1 for none. Raises UsageError for one that there is not, and for a soft one above the hard one."""
    _check_resource(name)
    if not -1 <= soft < 2**63 or not -1 <= hard < 2**63:
        raise UsageError(f"invalid ulimit argument: {name}={soft}:{hard}")
    if hard != -1 and (soft == -1 or soft > hard):
        raise UsageError(f"ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")
    return Rlimit(name, soft, hard)


def _check_resource(name: str) -> None:
    if name not in RESOURCE_NAMES or name == "as":
        raise UsageError(f"invalid ulimit type: {name}")


def _limit(text: str, whole: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 19:
        raise UsageError(f"invalid ulimit argument: {whole}")
    number = int(text)
    if not -1 <= number < 2**63:
        raise UsageError(f"invalid ulimit argument: {whole}")
    return number


def parse_sysctl(text: str) -> tuple[str, str]:
    """`name=value` of a setting that a namespace of the container owns. Raises UsageError."""
    name, equals, value = text.partition("=")
    # the kernel reads a slash as a dot: net/ipv4/ip_forward
    name = name.replace("/", ".")
    if not equals or not (name in _SYSCTLS or name.startswith(("net.", "fs.mqueue."))):
        raise UsageError(
            f"sysctl '{text}' is not allowed",
            cause="only kernel.msg*, kernel.sem, kernel.shm*, fs.mqueue.* and net.* belong to a container",
        )
    if ".." in name or not name.replace(".", "").replace("_", "").replace("-", "").isalnum() or not name.isascii():
        raise UsageError(f"sysctl '{text}' is not allowed")
    return name, value


def memory_limits(memory_bytes: int, swap_bytes: int, reserved_bytes: int) -> tuple[int, int, int]:
    """The three again: memory, memory and swap together (-1 is no limit), reservation; 0 is none. Raises UsageError."""
    if 0 < memory_bytes < _LEAST_MEMORY:
        raise UsageError("Minimum memory limit allowed is 6MB")
    if swap_bytes > 0 and not memory_bytes:
        raise UsageError("You should always set the Memory limit when using Memoryswap limit, see usage")
    if 0 < swap_bytes < memory_bytes:
        raise UsageError("Minimum memoryswap limit should be larger than memory limit, see usage")
    if memory_bytes and reserved_bytes > memory_bytes:
        raise UsageError("Minimum memory limit can not be less than memory reservation limit, see usage")
    return memory_bytes, swap_bytes, reserved_bytes


def cpu_limit(nano_cpus: int, quota_us: int, period_us: int) -> int:
    """CPUs times 10^9, from `--cpus` or from `--cpu-quota` over `--cpu-period`. Raises UsageError."""
    if nano_cpus:
        if quota_us or period_us:
            raise UsageError("Conflicting options: Nano CPUs and CPU Period or Quota cannot both be set")
        if nano_cpus < 10_000_000:
            raise UsageError("range of CPUs is from 0.01")
        return nano_cpus
    period_us = period_us or 100_000
    if not 1000 <= period_us <= 1_000_000:
        raise UsageError("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)")
    if quota_us <= 0:
        return 0
    if quota_us < 1000:
        raise UsageError("CPU cfs quota can not be less than 1ms (i.e. 1000)")
    return quota_us * 10**9 // period_us


def parse_cpuset(text: str) -> str:
    """A list of CPUs such as `0-2,4`, as given. Raises UsageError."""
    for part in text.split(","):
        first, dash, last = part.partition("-")
        numbers = (first, last) if dash else (first,)
        if not all(n.isascii() and n.isdigit() and len(n) < 6 for n in numbers):
            raise UsageError(f"invalid list of CPUs: {text}")
        if dash and int(first) > int(last):
            raise UsageError(f"invalid list of CPUs: {text}")
    return text


def check_resources(resources: Resources) -> Resources:
    """`resources` again. Raises UsageError for a value the kernel would refuse later with less to say."""
    if resources.cpu_shares and not 2 <= resources.cpu_shares <= 262_144:
        raise UsageError("shares must be between 2 and 262144", mend="--cpu-shares 1024")
    return resources
