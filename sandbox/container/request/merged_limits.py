"""Limits that a request asks for: resources, rlimits, sysctls, and the sizes of what is written to."""

from __future__ import annotations

from sandbox.errors import UsageError, at_field, each_at_field
from sandbox.values import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerConfig
    from sandbox.container.request.request import ContainerRequest
    from sandbox.values import Rlimit


def add_limits(request: ContainerRequest, config: ContainerConfig) -> ContainerConfig:
    """`config` with the limits. Raises UsageError, which names the field that is at fault."""
    score = request.oom_score_adjust or 0
    if not -1000 <= score <= 1000:
        raise UsageError(
            "Invalid value, range for oom score adj is [-1000, 1000]",
            cause=f"{score} was given",
            field="oom_score_adjust",
        )
    for field in ("memory_bytes", "memory_reservation_bytes", "nano_cpus", "shm_size_bytes"):
        if (getattr(request, field) or 0) < 0:
            raise UsageError("a limit cannot be negative", field=field)
    return config._replace(
        resources=merged_resources(request),
        rlimits=_rlimits(request),
        sysctls=_sysctls(request),
        shm_size_bytes=request.shm_size_bytes or config.shm_size_bytes,
        storage_size_bytes=_storage_size(request),
        oom_score_adjust=score,
    )


def merged_resources(request: ContainerRequest) -> Resources:
    """What a cgroup is to hold. Raises UsageError, which names the field that is at fault."""
    from sandbox.grammar import limits

    with at_field("memory_bytes" if request.memory_swap_bytes is None else "memory_swap_bytes"):
        memory, swap, reservation = limits.memory_limits(
            request.memory_bytes or 0, request.memory_swap_bytes or 0, request.memory_reservation_bytes or 0
        )
    with at_field("nano_cpus"):
        nano_cpus = limits.cpu_limit(request.nano_cpus or 0, request.cpu_quota_us or 0, request.cpu_period_us or 0)
    if request.cpuset_cpus:
        with at_field("cpuset_cpus"):
            limits.parse_cpuset(request.cpuset_cpus)
    with at_field("cpu_shares"):
        return limits.check_resources(
            Resources(
                memory_bytes=memory,
                memory_swap_bytes=swap,
                memory_reservation_bytes=reservation,
                nano_cpus=nano_cpus,
                cpu_shares=request.cpu_shares or 0,
                cpuset_cpus=request.cpuset_cpus or "",
                # -1 and 0 are both no limit
                pids_limit=max(0, request.pids_limit or 0),
                best_effort=bool(request.best_effort),
            )
        )


def _rlimits(request: ContainerRequest) -> tuple[Rlimit, ...]:
    if not request.rlimits:
        return ()
    from sandbox.grammar.limits import check_rlimit

    with at_field("rlimits"):
        # of several limits of one kind the last one holds
        return tuple({limit.name: check_rlimit(*limit) for limit in request.rlimits}.values())


def _sysctls(request: ContainerRequest) -> tuple[tuple[str, str], ...]:
    if not request.sysctls:
        return ()
    from sandbox.grammar.limits import parse_sysctl

    return tuple(dict(each_at_field("sysctls", parse_sysctl, tuple(map("=".join, request.sysctls)))).items())


def _storage_size(request: ContainerRequest) -> int:
    if not request.storage_options:
        return 0
    from sandbox.grammar.sizes import parse_size, parse_storage_option

    pairs = each_at_field("storage_options", parse_storage_option, tuple(map("=".join, request.storage_options)))
    return parse_size(pairs[-1][1])
