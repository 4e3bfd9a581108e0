"""The limits of one container: whether this machine can hold them, and the cgroup that does.

Asked by the command, before anything is made: what cannot be enforced is an error with its reason, or with
`--best-effort` a warning. The monitor gets the result as plain values.
"""

from __future__ import annotations

from contextlib import suppress

from sandbox.container.monitor.plan import Limits
from sandbox.errors import HostError
from sandbox.named_tuple import NamedTuple
from sandbox.values import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.container.model.record import ContainerConfig


class LimitPlan(NamedTuple):
    """How the limits of a container are held; `notes` say what is not, under --best-effort."""

    limits: Limits = Limits()
    notes: tuple[str, ...] = ()


def plan_container_limits(config: ContainerConfig, env: Mapping[str, str]) -> LimitPlan:
    """The plan, with no cgroup made yet. Raises HostError for what this machine cannot enforce."""
    if config.resources == Resources():
        return LimitPlan()
    from sandbox.runtime.cgroups import plan_limits, probe_cgroups

    plan = plan_limits(config.resources, probe_cgroups(env))
    notes = plan.notes
    if config.rlimits and config.resources.best_effort:
        from sandbox.container.monitor.runtime_spec import resource_limit
        from sandbox.runtime.resource_limits import lowered_note

        notes = (*notes, *filter(None, (lowered_note(resource_limit(limit)) for limit in config.rlimits)))
    return LimitPlan(
        Limits("", tuple((write.controller, write.file, write.value) for write in plan.writes), plan.process_limit),
        notes,
    )


def claim_cgroup(
    limits: Limits, container_id: str, monitor_pid: int, env: Mapping[str, str], *, detached: bool = False
) -> Limits:
    """`limits` with a cgroup to hold them, where they need one. Raises HostError.

    A detached container gets one in any case where that lets it outlive its log-in session: systemd may end all that
    is left in the session's own cgroup (logind.conf, KillUserProcesses).
    """
    if not limits.writes and not (detached and _is_systemd_there()):
        return limits
    from sandbox.runtime.cgroups import claim_subtree, outlives_session, probe_cgroups

    probe = probe_cgroups(env)
    if limits.writes:
        return limits._replace(subtree=claim_subtree(probe, container_id, monitor_pid, env))
    if outlives_session(probe):
        # asked for by nobody: without it, the container runs as well
        with suppress(HostError):
            return limits._replace(subtree=claim_subtree(probe, container_id, monitor_pid, env))
    return limits


def _is_systemd_there() -> bool:
    from sandbox.runtime.systemd_scopes import is_booted  # every `run` imports this module, few ask

    return is_booted()
