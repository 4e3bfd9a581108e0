"""Who may act on a container: a claim in its record, taken and given back inside transactions. Pure.

A claim names one process, by pid, start time and boot. A container without one is nobody's: a command that wants to
start it enters the monitor it has made, one that removes it enters itself. From then on only the holder writes, and
each of its writes asks first whether it still is; so of two that start one container one gets it, and what the other
puts back is nothing of the first one's. The claim goes with the write that ends the run. One whose process is dead is
taken away by whoever meets it (`reconcile`).

    free ──▶ a monitor's: created or exited ──▶ running ⇄ restarting ──▶ exited, free
      └────▶ a command's or a monitor's: removing ──▶ no record
"""

from __future__ import annotations

import os

from sandbox.errors import ConflictError
from sandbox.live_processes import boot_id, is_alive, process_start
from sandbox.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.container.model.record import ContainerState

#: states in which a program runs, or will again by itself
ACTIVE = ("running", "restarting", "paused")


class Claim(NamedTuple):
    """A process that may act on a container; pid 0 is nobody."""

    pid: int = 0
    start: int = 0
    boot: str = ""

    @property
    def is_alive(self) -> bool:
        return is_alive(self.pid, self.start, self.boot)


class TakenError(ConflictError):
    """Another process has the claim."""


class LostClaimError(ConflictError):
    """Who writes has no claim: it was taken away, or was never had."""


def claim_for(pid: int) -> Claim:
    """The claim that a living process can hold."""
    return Claim(pid, process_start(pid), boot_id())


def own_claim() -> Claim:
    return claim_for(os.getpid())


def claim_of(state: ContainerState) -> Claim:
    return Claim(state.monitor_pid, state.monitor_start, state.boot_id)


def with_claim(state: ContainerState, claim: Claim) -> ContainerState:
    return state._replace(monitor_pid=claim.pid, monitor_start=claim.start, boot_id=claim.boot)


def to_start(claim: Claim, runtime_directory: str = "") -> Callable[[ContainerState], ContainerState]:
    """The change that claims a container in order to start it. It raises TakenError."""

    def take(state: ContainerState) -> ContainerState:
        if state.monitor_pid or state.status in (*ACTIVE, "removing"):
            raise TakenError("the container is being started or removed by another command")
        return with_claim(state, claim)._replace(runtime_directory=runtime_directory)

    return take


def to_remove(claim: Claim, ended: Claim) -> Callable[[ContainerState], ContainerState]:
    """The change that claims a container in order to remove it; what others began to remove may be removed by two.

    `ended` is a claim whose process is dead and has left nothing: a full disk may have kept the record from being
    mended. The change raises TakenError.
    """

    def take(state: ContainerState) -> ContainerState:
        if state.monitor_pid and state.status != "removing" and claim_of(state) != ended:
            raise TakenError("the container runs, or is being started")
        return with_claim(state._replace(status="removing"), claim)

    return take


def as_holder(
    claim: Claim, change: Callable[[ContainerState], ContainerState]
) -> Callable[[ContainerState], ContainerState]:
    """`change`, for the holder of `claim` alone. It raises LostClaimError for anybody else."""

    def act(state: ContainerState) -> ContainerState:
        if claim_of(state) != claim:
            raise LostClaimError("another command has taken the container")
        return change(state)

    return act
