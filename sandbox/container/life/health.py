"""What a container's health check finds: waited for, woken by the events of its record; or found out now."""

from __future__ import annotations

import time

from sandbox.container.life.pausing import ask_monitor
from sandbox.container.life.reconcile import reconcile
from sandbox.container.life.stop import is_active
from sandbox.container.model.runtime_files import runtime_directory
from sandbox.container.model.store import load_container
from sandbox.container.monitor.health_log import read_health
from sandbox.errors import ConflictError, NotFoundError
from sandbox.event_stream import of_container, stream_events
from sandbox.state import open_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sandbox.container.model.record import Container
    from sandbox.container.monitor.health_rules import Health
    from sandbox.paths import Paths

#: whatever may make an end of the waiting; no others, so that nobody writes more because we wait
_EVENTS = ("health_status", "start", "die", "destroy")


def wait_health(paths: Paths, container: Container, wanted: tuple[str, ...]) -> str:
    """Wait until the running container's health is one of `wanted`, and return it.

    Raises ConflictError where it has no health check, or has ended; NotFoundError where it was removed.
    """
    # from before the first look: what happens after it is not missed
    since_ns = time.time_ns() - 10**9
    health = _look(paths, container)
    if health not in wanted:
        for _happened in stream_events(paths, of_container(container.id, _EVENTS, since_ns)):
            health = _look(paths, container)
            if health in wanted:
                break
    return health


def check_health(paths: Paths, container: Container) -> Health:
    """Have the check run once, now, and its result recorded as any. Raises ConflictError where the container has no
    health check or does not run, SandboxError.
    """
    _look(paths, container)
    ask_monitor(paths, container, "probe")
    with open_state(paths, durable=False) as connection:
        present = load_container(connection, container.id) or container
    return read_health(present.state.health, runtime_directory(paths, container.id, present.state))


def _look(paths: Paths, container: Container) -> str:
    with open_state(paths, durable=False) as connection:
        found = load_container(connection, container.id)
        present = reconcile(connection, paths, found) if found is not None else None
    if present is None:
        raise NotFoundError(f"No such container: {container.name}", cause="it was removed meanwhile")
    if present.config.health.test[:1] not in (("CMD",), ("CMD-SHELL",)):
        raise ConflictError(f"container {container.name} has no health check", mend="sandbox run --health-cmd COMMAND")
    if not is_active(present):
        raise ConflictError(f"container {container.name} is not running", mend=f"sandbox start {container.name}")
    return "starting" if present.state.status == "restarting" else present.state.health
