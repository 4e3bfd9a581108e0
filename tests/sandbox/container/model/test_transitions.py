"""What each event in a container's life makes of its state."""

from __future__ import annotations

from sandbox.container.model.record import ContainerState
from sandbox.container.model.transitions import HealthChanged, RunEnded, RunStarted

_RUNNING = ContainerState("running", pid=7, started_ns=1, health="healthy", restart_count=2)


def test_a_restart_counts_from_when_it_is_decided() -> None:
    waits = RunEnded(3, 9, stays_down=False).apply(_RUNNING)
    assert (waits.status, waits.restart_count, waits.finished_ns) == ("restarting", 3, 9)
    again = RunStarted(8, 1, 10, 3).apply(waits)
    assert (again.status, again.restart_count) == ("running", 3)
    assert RunEnded(0, 11).apply(again).restart_count == 3


def test_health_is_known_of_one_that_runs_and_has_a_check() -> None:
    assert RunEnded(0, 9).apply(_RUNNING).health == "unhealthy"
    assert RunEnded(0, 9).apply(_RUNNING._replace(health="")).health == ""
    assert RunStarted(8, 1, 10, 0, health="starting").apply(_RUNNING).health == "starting"
    assert HealthChanged("unhealthy").apply(_RUNNING).health == "unhealthy"
    assert HealthChanged("healthy").apply(_RUNNING._replace(health="")).health == ""
