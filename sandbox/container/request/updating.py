"""A container's request and configuration with other limits and another restart policy: what `update` may change."""

from __future__ import annotations

from sandbox.container.request.merged_limits import merged_resources
from sandbox.errors import ConflictError, UsageError
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import ContainerConfig
    from sandbox.container.request.request import ContainerRequest
    from sandbox.values import PublishedPort

#: the fields of a request that may be changed later
UPDATABLE = (
    "memory_bytes", "memory_swap_bytes", "memory_reservation_bytes", "nano_cpus", "cpu_period_us", "cpu_quota_us",
    "cpu_shares", "cpuset_cpus", "pids_limit", "best_effort", "restart",
)  # fmt: skip


class Updated(NamedTuple):
    """What is kept of a container from then on."""

    config: ContainerConfig
    request: ContainerRequest


def updated(config: ContainerConfig, request: ContainerRequest, wanted: ContainerRequest) -> Updated:
    """Both with what `wanted` says; its fields that are None stay as they are. Pure.

    Raises UsageError for a value that cannot be, ConflictError for one that does not go with what was asked before.
    """
    given = {name: value for name in UPDATABLE if (value := getattr(wanted, name)) is not None}
    # Docker's zeros are what was not said; but no limit of processes is one that was
    given = {name: value for name, value in given.items() if value or name == "pids_limit"}
    if not given:
        raise UsageError("You must provide one or more flags when using this command.", mend="sandbox update --help")
    _check_memory(request, given)
    _check_cpus(request, given)
    request = request._replace(**given)
    if "restart" in given:
        from sandbox.grammar.restart import check_restart

        policy = check_restart(*given["restart"])
        if config.auto_remove and policy.name != "no":
            raise ConflictError("Restart policy cannot be updated because AutoRemove is enabled for the container")
        config = config._replace(restart=policy)
    return Updated(config._replace(resources=merged_resources(request)), request)


def check_added(ports: tuple[PublishedPort, ...]) -> None:
    """Raise UsageError where one host port is asked for twice, too many are, or one that cannot be."""
    from sandbox.grammar.ports import check_ports

    check_ports(ports)


def _check_memory(request: ContainerRequest, given: dict[str, int]) -> None:
    """A limit of memory alone leaves that of memory and swap where it is; Docker fills it in as twice the memory."""
    before = request.memory_bytes or 0
    swap = request.memory_swap_bytes or 2 * before
    if "memory_bytes" not in given or "memory_swap_bytes" in given or swap <= 0:
        return
    if given["memory_bytes"] > swap:
        raise ConflictError(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            mend=f"sandbox update --memory {given['memory_bytes']} --memory-swap {2 * given['memory_bytes']} …",
        )
    given["memory_swap_bytes"] = swap


_CONFLICTS = (
    ("nano_cpus", "cpu_period_us", "Nano CPUs cannot be updated as CPU Period has already been set"),
    ("nano_cpus", "cpu_quota_us", "Nano CPUs cannot be updated as CPU Quota has already been set"),
    ("cpu_period_us", "nano_cpus", "CPU Period cannot be updated as NanoCPUs has already been set"),
    ("cpu_quota_us", "nano_cpus", "CPU Quota cannot be updated as NanoCPUs has already been set"),
)


def _check_cpus(request: ContainerRequest, given: dict[str, int]) -> None:
    for name, other, words in _CONFLICTS:
        # a quota of -1 is none
        if name in given and (getattr(request, other) or 0) > 0:
            raise ConflictError(f"Conflicting options: {words}")
