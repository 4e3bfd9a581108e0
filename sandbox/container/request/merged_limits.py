"""The resources that a request asks for, checked against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.errors import at_field
from sandbox.values import Resources

if TYPE_CHECKING:
    from sandbox.container.request.request import ContainerRequest


def merged_resources(request: ContainerRequest) -> Resources:
    """The limits as the record has them. Raises UsageError, which names the field that is at fault."""
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
